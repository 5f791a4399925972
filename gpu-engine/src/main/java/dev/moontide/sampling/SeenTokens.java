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
package dev.moontide.sampling;

import dev.moontide.api.TokenIds;
import dev.moontide.tensor.LogitQueries;

/** Counts the tokens that a draw's penalties look at. Used by one thread at a time. */
public final class SeenTokens {
  /** A token that is listed already. */
  private static final int LISTED = -1;

  /** Occurrences in the output, all zero between calls. */
  private final int[] counts;

  public SeenTokens(int vocabularySize) {
    counts = new int[vocabularySize];
  }

  /**
   * Adds to the last draw of {@code queries} each token of the prompt and of {@code output[0,
   * length)} once.
   */
  public void list(LogitQueries queries, TokenIds prompt, int[] output, int length) {
    for (int i = 0; i < length; i++) {
      counts[output[i]]++;
    }
    for (int i = 0; i < length; i++) {
      list(queries, output[i], counts[output[i]]);
    }
    for (int i = 0; i < prompt.length(); i++) {
      list(queries, prompt.get(i), counts[prompt.get(i)]);
    }
    for (int i = 0; i < length; i++) {
      counts[output[i]] = 0;
    }
    for (int i = 0; i < prompt.length(); i++) {
      counts[prompt.get(i)] = 0;
    }
  }

  private void list(LogitQueries queries, int token, int occurrences) {
    if (occurrences != LISTED) {
      queries.addSeen(token, occurrences);
      counts[token] = LISTED;
    }
  }
}
