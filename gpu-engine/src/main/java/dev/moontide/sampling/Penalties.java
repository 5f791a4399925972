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

import dev.moontide.api.SamplingParameters;
import dev.moontide.api.TokenIds;

/**
 * Penalties on tokens seen before, in vLLM's order: first the repetition penalty (prompt and
 * output; positive logits divided, others multiplied), then frequency and presence (output).
 */
final class Penalties {
  /** Occurrences in the output, all zero between calls. */
  private final int[] counts;

  /** Tokens already penalised in this call, all false between calls. */
  private final boolean[] seen;

  Penalties(int vocabularySize) {
    counts = new int[vocabularySize];
    seen = new boolean[vocabularySize];
  }

  /** Changes {@code logits} in place; {@code output[0, length)} is what was generated so far. */
  void apply(
      float[] logits, SamplingParameters parameters, TokenIds prompt, int[] output, int length) {
    for (int i = 0; i < length; i++) {
      counts[output[i]]++;
    }
    double repetition = parameters.repetitionPenalty();
    if (repetition != 1) {
      for (int i = 0; i < prompt.length(); i++) {
        penalise(logits, prompt.get(i), parameters);
      }
    }
    for (int i = 0; i < length; i++) {
      penalise(logits, output[i], parameters);
    }
    for (int i = 0; i < prompt.length(); i++) {
      seen[prompt.get(i)] = false;
    }
    for (int i = 0; i < length; i++) {
      seen[output[i]] = false;
      counts[output[i]] = 0;
    }
  }

  private void penalise(float[] logits, int token, SamplingParameters parameters) {
    if (seen[token]) {
      return;
    }
    seen[token] = true;
    double logit = logits[token];
    double repetition = parameters.repetitionPenalty();
    logit = logit > 0 ? logit / repetition : logit * repetition;
    if (counts[token] > 0) {
      logit -= parameters.frequencyPenalty() * counts[token] + parameters.presencePenalty();
    }
    logits[token] = (float) logit;
  }
}
