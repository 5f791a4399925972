/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
 * in compliance with the License. You may obtain a copy of the License at
 *
 *     http://www.apache.org/licenses/LICENSE-2.0
 *
 * Unless required by applicable law or agreed to in writing, software distributed under the License
 * is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
 * or implied. See the License for the specific language governing permissions and limitations under
 * the License.
 */
package dev.moontide.spark;

import dev.moontide.api.MoontideException;
import dev.moontide.api.TokenIds;
import dev.moontide.spark.PromptOptions.LongPrompt;
import dev.moontide.tokenizer.Tokenizer;
import java.util.function.Function;

/**
 * Shortens prompts. Of a prompt made of texts, the longest text loses tokens and the prompt is made
 * again, so that no marker of a template is ever cut.
 *
 * @param side which end is dropped, not {@link LongPrompt#ERROR}
 */
record Truncation(LongPrompt side) {
  /** The end of {@code ids} that stays, at most {@code limit} long. */
  TokenIds fit(TokenIds ids, int limit) {
    int excess = Math.max(0, ids.length() - Math.max(0, limit));
    return side == LongPrompt.TRUNCATE_LEFT
        ? TokenIds.copyOfRange(ids.toArray(), excess, ids.length())
        : TokenIds.copyOfRange(ids.toArray(), 0, ids.length() - excess);
  }

  /**
   * The prompt of {@code texts}, shortened until it is at most {@code limit} tokens long.
   *
   * @param encode makes the prompt
   * @throws MoontideException of category row if no text is left to shorten
   */
  TokenIds fit(
      RowTexts texts, Function<RowTexts, TokenIds> encode, Tokenizer tokenizer, int limit) {
    TokenIds prompt = encode.apply(texts);
    if (prompt.length() <= limit) {
      return prompt;
    }
    String text = texts.longest();
    TokenIds tokens = tokenizer.encode(text);
    // What is kept is text, not tokens, and may encode to a few more: hence the loop, which ends
    // because it keeps fewer each time.
    int keep = tokens.length();
    while (prompt.length() > limit) {
      keep -= prompt.length() - limit;
      if (keep <= 0) {
        throw MoontideException.row(
            "the prompt has %d tokens even without its longest text, and there is room for %d:"
                + " raise max-model-len or shorten the template",
            encode.apply(texts.withLongest("")).length(), limit);
      }
      String kept = tokenizer.decode(fit(tokens, keep));
      prompt = encode.apply(texts.withLongest(partOf(text, kept)));
    }
    return prompt;
  }

  /** What {@code kept} and {@code text} share at the end that stays: no half of a character. */
  private String partOf(String text, String kept) {
    boolean left = side == LongPrompt.TRUNCATE_LEFT;
    int length = Math.min(text.length(), kept.length());
    int shared = 0;
    while (shared < length
        && (left
            ? text.charAt(text.length() - 1 - shared) == kept.charAt(kept.length() - 1 - shared)
            : text.charAt(shared) == kept.charAt(shared))) {
      shared++;
    }
    if (left) {
      int from = text.length() - shared;
      boolean split = shared > 0 && Character.isLowSurrogate(text.charAt(from));
      return text.substring(split ? from + 1 : from);
    }
    boolean split = shared > 0 && Character.isHighSurrogate(text.charAt(shared - 1));
    return text.substring(0, split ? shared - 1 : shared);
  }
}
