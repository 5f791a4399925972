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

import dev.moontide.tensor.Weight;
import org.jspecify.annotations.Nullable;

/**
 * A layer's attention.
 *
 * @param inputNorm {@code input_layernorm} [hidden]
 * @param queryKeyValueA {@code q_a_proj} above {@code kv_a_proj_with_mqa}, [q_lora_rank +
 *     kv_lora_rank + qk_rope_head_dim, hidden]; without {@code q_lora_rank}, {@code q_proj} in the
 *     place of {@code q_a_proj}
 * @param queryUp from the query's latent to the query; null without {@code q_lora_rank}
 * @param latentNorm {@code kv_a_layernorm} [kv_lora_rank]
 * @param latentUp {@code kv_b_proj} [heads · (qk_nope_head_dim + v_head_dim), kv_lora_rank]
 * @param output {@code o_proj} [hidden, heads · v_head_dim]
 */
public record AttentionWeights(
    Weight inputNorm,
    Weight queryKeyValueA,
    @Nullable QueryUp queryUp,
    Weight latentNorm,
    Weight latentUp,
    Weight output) {
  /**
   * The query's second projection.
   *
   * @param norm {@code q_a_layernorm} [q_lora_rank]
   * @param projection {@code q_b_proj} [heads · (qk_nope_head_dim + qk_rope_head_dim), q_lora_rank]
   */
  public record QueryUp(Weight norm, Weight projection) {}
}
