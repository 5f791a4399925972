/**
 * The generation transform on Spark's public API: rows go as Arrow batches into the engine of their
 * executor and come back with its answers.
 */
@NullMarked
package dev.moontide.spark;

import org.jspecify.annotations.NullMarked;
