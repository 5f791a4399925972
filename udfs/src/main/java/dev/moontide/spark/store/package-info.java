/**
 * The store of finished results: what a request's key is, the files results lie in, and how a task
 * finds, shares and keeps them. {@link dev.moontide.spark.store.ResultStore} is the entry.
 */
@NullMarked
package dev.moontide.spark.store;

import org.jspecify.annotations.NullMarked;
