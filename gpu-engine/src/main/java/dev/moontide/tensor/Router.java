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
package dev.moontide.tensor;

/**
 * How tokens choose experts (DeepSeek-V3, arXiv 2412.19437 §2.1.2; {@code topk_method: noaux_tc}).
 *
 * @param experts {@code n_routed_experts}
 * @param topK {@code num_experts_per_tok}
 * @param groups {@code n_group}
 * @param topGroups {@code topk_group}
 * @param normalise {@code norm_topk_prob}
 * @param scale {@code routed_scaling_factor}
 */
public record Router(
    int experts, int topK, int groups, int topGroups, boolean normalise, float scale) {}
