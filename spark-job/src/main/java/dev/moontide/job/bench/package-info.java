/** The engine measured on this machine, as ratios to the machine's own matrix-product rate. */
@NullMarked
package dev.moontide.job.bench;

import org.jspecify.annotations.NullMarked;
