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

import dev.moontide.tensor.Attention;
import dev.moontide.tensor.Routing;
import dev.moontide.tensor.Storage;
import dev.moontide.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * A model's activations on a device, room for its largest step.
 *
 * @param x the residual stream [tokens, hidden], float32
 * @param normed its norm, an operand
 * @param normedFloats the same in float32, for the router
 * @param queryKeyValue the query's latent, the cache's latent and its key, side by side
 * @param queryLatent the norm of the query's latent; {@code normed} without {@code q_lora_rank}
 * @param query [tokens, heads · (nope + rope)]; {@code queryKeyValue} without {@code q_lora_rank}
 * @param attended attention's output before {@code o_proj}
 * @param dense of the layers without experts; null without such
 * @param shared of the shared experts; null without such
 * @param last rows of {@code x} whose logits are computed
 * @param lastNormed their norm
 * @param logits [rows, vocabulary]
 */
public record Workspace(
    Tensor x,
    Tensor normed,
    Tensor normedFloats,
    Tensor queryKeyValue,
    Tensor queryLatent,
    Tensor query,
    Tensor attended,
    @Nullable Activations dense,
    @Nullable Activations shared,
    Routing routing,
    Tensor last,
    Tensor lastNormed,
    Tensor logits) {
  /** Of a SwiGLU feed-forward: {@code gate‖up} in float32 and their product. */
  public record Activations(Tensor gateUp, Tensor product) {
    static Activations allocate(Storage storage, int rows, int width) {
      return new Activations(storage.gateUpSpace(rows, width), storage.operand(rows, width));
    }
  }

  /** Makes room in {@code storage} for steps of up to {@code maxTokens} tokens. */
  public static Workspace allocate(ModelConfig config, Storage storage, int maxTokens) {
    Attention attention = config.attention();
    int hidden = config.hiddenSize();
    int queryRank = config.qLoraRank().orElse(attention.queryColumns());
    int logitRows =
        (int) Math.max(1, Math.min(maxTokens, storage.maxLogitBytes() / (4L * config.vocabSize())));
    Tensor normed = storage.operand(maxTokens, hidden);
    Tensor queryKeyValue =
        storage.queryKeyValue(maxTokens, hidden, queryRank, attention.cacheColumns());
    boolean hasQueryLatent = config.qLoraRank().isPresent();
    int sharedWidth = config.nSharedExperts() * config.moeIntermediateSize();
    return new Workspace(
        storage.floats(maxTokens, hidden),
        normed,
        storage.routerInput(maxTokens, hidden),
        queryKeyValue,
        hasQueryLatent ? storage.operand(maxTokens, queryRank) : normed,
        hasQueryLatent ? storage.queries(maxTokens, attention.queryColumns()) : queryKeyValue,
        storage.operand(maxTokens, attention.outputColumns()),
        hasDenseLayer(config)
            ? Activations.allocate(storage, maxTokens, config.intermediateSize())
            : null,
        sharedWidth > 0 ? Activations.allocate(storage, maxTokens, sharedWidth) : null,
        storage.routing(maxTokens, config.router()),
        storage.floats(logitRows, hidden),
        storage.headOperand(logitRows, hidden),
        storage.logits(logitRows, config.vocabSize()));
  }

  private static boolean hasDenseLayer(ModelConfig config) {
    for (int layer = 0; layer < config.numHiddenLayers(); layer++) {
      if (!config.isMoeLayer(layer)) {
        return true;
      }
    }
    return false;
  }
}
