/**
 * What the next step computes: sequences, cache blocks, the prefix cache and the scheduler over
 * them. Used by one thread; knows no device, no clock and no threads.
 */
@NullMarked
package dev.moontide.scheduler;

import org.jspecify.annotations.NullMarked;
