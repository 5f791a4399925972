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
package dev.moontide.job.bench;

import dev.moontide.model.ModelConfig;

/**
 * The model's own work, by its equations and whatever a backend does besides: two operations for
 * each weight a token meets, and attention in its naive form, {@code 2·heads·(nope + rope + value)}
 * for each visible key and layer.
 */
record FlopCount(ModelConfig config) {
  /** Of one token's layers, without attention over the cache and without logits. */
  double perToken() {
    return 2.0 * (config.activeParameters() - headParameters());
  }

  /** Of one row of logits. */
  double perLogits() {
    return 2.0 * headParameters();
  }

  private double headParameters() {
    return (double) config.vocabSize() * config.hiddenSize();
  }

  /** Of one token's attention to {@code keys} entries, in all layers. */
  double attention(double keys) {
    var attention = config.attention();
    return 2.0
        * config.numHiddenLayers()
        * attention.heads()
        * (attention.nopeDim() + attention.ropeDim() + attention.valueDim())
        * keys;
  }

  /** Of prefilling {@code tokens} tokens of one prompt and its last token's logits. */
  double prefill(int tokens) {
    return tokens * perToken() + tokens * attention((tokens + 1) / 2.0) + perLogits();
  }

  /** Of decoding {@code newTokens} tokens after {@code promptTokens}. */
  double decode(int promptTokens, int newTokens) {
    return newTokens * (perToken() + perLogits() + attention(promptTokens + (newTokens + 1) / 2.0));
  }
}
