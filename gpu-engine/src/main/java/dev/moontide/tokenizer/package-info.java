/**
 * Text to tokens and back: tiktoken vocabularies, chat templates, and prompts in which a row's text
 * can never become a control token.
 */
@NullMarked
package dev.moontide.tokenizer;

import org.jspecify.annotations.NullMarked;
