/** The pull loop: many tasks' requests through one scheduler and one model. */
@NullMarked
package dev.moontide.engine;

import org.jspecify.annotations.NullMarked;
