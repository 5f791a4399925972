/** What a caller gives the engine and gets back: requests, results, options and errors. */
@NullMarked
package dev.moontide.api;

import org.jspecify.annotations.NullMarked;
