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
package dev.moontide.model;

import dev.moontide.tensor.Experts;
import dev.moontide.tensor.Weight;
import org.jspecify.annotations.Nullable;

/** The second half of a layer. */
public sealed interface FeedForward {
  /** {@code post_attention_layernorm} [hidden]. */
  Weight norm();

  /** One MLP for every token: the first {@code first_k_dense_replace} layers. */
  record Dense(Weight norm, Mlp mlp) implements FeedForward {}

  /**
   * Routed experts and the shared ones.
   *
   * @param gate the router, {@code mlp.gate.weight} [experts, hidden], float32
   * @param bias {@code e_score_correction_bias} [experts], float32
   * @param experts the routed experts
   * @param shared the shared experts as one MLP, {@code n_shared_experts} times as wide; null
   *     without any
   */
  record MixtureOfExperts(
      Weight norm, Weight gate, Weight bias, Experts experts, @Nullable Mlp shared)
      implements FeedForward {}
}
