/** Closed sets of answers: the trie of their tokens and the search for their probabilities. */
@NullMarked
package dev.moontide.constraint;

import org.jspecify.annotations.NullMarked;
