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
package dev.moontide.api;

/** What became of a request: one case for each {@link Objective}, and failure. */
public sealed interface Outcome {
  /**
   * A continuation.
   *
   * @param tokens what was generated, without the token that ended it
   * @param text its text, cut before a stop string; empty without a tokenizer
   * @param finishReason why it ended
   * @param completionTokens tokens generated, the one that ended it included
   */
  record Completion(TokenIds tokens, String text, FinishReason finishReason, int completionTokens)
      implements Outcome {}

  /**
   * Log-probabilities of the prompt's tokens.
   *
   * @param tokenLogprobs entry i is log p(token f + i | tokens 0 … f + i - 1), with f the first
   *     token scored ({@link Objective.Score#from})
   */
  record Scores(FloatList tokenLogprobs) implements Outcome {}

  /**
   * Probabilities over a {@link ChoiceSet}.
   *
   * @param best index of the most probable choice, the first of equals
   * @param probabilities of each choice, in the set's order; they sum to 1
   * @param completionTokens tokens of the best choice, its end of turn included
   */
  record Choice(int best, DoubleList probabilities, int completionTokens) implements Outcome {}

  /**
   * The row could not be computed; other rows are not affected.
   *
   * @param message what is wrong, the value and the remedy
   */
  record Failure(String message) implements Outcome {}
}
