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

/** What is asked of the model about a prompt. */
public sealed interface Objective {
  /**
   * Continue the prompt.
   *
   * @param parameters how tokens are drawn
   * @param rowKey identifies the row to the random numbers, which are keyed by (seed, row key,
   *     sample index, position) and so do not depend on when or where the row runs
   * @param sampleIndex which of the row's samples this is, from 0
   */
  record Sample(SamplingParameters parameters, long rowKey, int sampleIndex) implements Objective {}

  /**
   * The log-probability of the prompt's tokens, each given those before it.
   *
   * @param from the first token that is scored, at least 1: nothing precedes the very first
   */
  record Score(int from) implements Objective {
    public Score {
      if (from < 1) {
        throw MoontideException.configuration(
            "score from token %d: allowed is 1 or more, as nothing precedes token 0", from);
      }
    }

    /** Of every token but the first. */
    public Score() {
      this(1);
    }
  }

  /**
   * The probability of each choice as the prompt's continuation, normalised over the choices.
   *
   * @param choices the closed set
   * @param tolerance most that a choice's normalised probability may be off; choices that need not
   *     be evaluated for that get probability 0; 0 evaluates them all
   */
  record Choose(ChoiceSet choices, double tolerance) implements Objective {
    public Choose {
      if (!(tolerance >= 0 && tolerance < 0.5)) {
        throw MoontideException.configuration(
            "probability-tolerance is %s: allowed is 0 (evaluate every label) up to 0.5",
            tolerance);
      }
    }
  }
}
