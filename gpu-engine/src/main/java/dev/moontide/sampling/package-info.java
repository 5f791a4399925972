/** Drawing tokens from logits: penalties, truncation, random numbers, and the ends of outputs. */
@NullMarked
package dev.moontide.sampling;

import org.jspecify.annotations.NullMarked;
