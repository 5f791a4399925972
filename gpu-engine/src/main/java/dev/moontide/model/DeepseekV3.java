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

import dev.moontide.model.AttentionWeights.QueryUp;
import dev.moontide.tensor.Attention;
import dev.moontide.tensor.KvCache;
import dev.moontide.tensor.LogitQueries;
import dev.moontide.tensor.Ops;
import dev.moontide.tensor.Rope;
import dev.moontide.tensor.Router;
import dev.moontide.tensor.Step;
import java.util.List;
import java.util.Objects;
import java.util.function.IntConsumer;
import org.jspecify.annotations.Nullable;

/**
 * The DeepSeek-V3 architecture (arXiv 2412.19437 §2.1), which Kimi-K2 uses: multi-head latent
 * attention and a mixture of experts, as equations over {@link Ops}.
 *
 * <p>Shapes: a step has T tokens; {@code x} [T, hidden] is the residual stream in float32.
 */
public final class DeepseekV3 implements LanguageModel {
  private final ModelConfig config;
  private final ModelWeights weights;
  private final Ops ops;
  private final Attention attention;
  private final Router router;
  private final Rope rope;
  private final float epsilon;
  private final int queryRank;
  private final KvCache cache;

  private final Workspace space;
  private final IntConsumer equations = this::layers;
  private @Nullable Step step;

  /**
   * @param maxTokens tokens of the largest step
   * @param cacheBlocks blocks of the latent cache
   * @param blockSize tokens per block
   */
  public DeepseekV3(
      ModelConfig config,
      ModelWeights weights,
      Ops ops,
      int maxTokens,
      int cacheBlocks,
      int blockSize) {
    this.config = config;
    this.weights = weights;
    this.ops = ops;
    attention = config.attention();
    router = config.router();
    rope = config.rope();
    epsilon = (float) config.rmsNormEps();
    queryRank = config.qLoraRank().orElse(attention.queryColumns());
    cache = ops.kvCache(config.numHiddenLayers(), cacheBlocks, blockSize, attention);
    space = Workspace.allocate(config, ops, maxTokens);
  }

  @Override
  public void forward(Step next) {
    step = next;
    if (next.copies() > 0) {
      ops.copyBlocks(cache, next);
    }
    ops.run(next, equations);
  }

  /** The layers over the step at hand. */
  private void layers(int n) {
    Step current = Objects.requireNonNull(step);
    ops.embed(space.x(), weights.embedding(), current);
    List<LayerWeights> layers = weights.layers();
    for (int i = 0; i < layers.size(); i++) {
      LayerWeights layer = layers.get(i);
      attend(i, layer.attention(), current, n);
      feedForward(layer.feedForward(), n);
    }
  }

  /** {@code x += o_proj(attention(norm(x)))} (eq. 1–11; the cache holds c^KV and k^R). */
  private void attend(int layer, AttentionWeights w, Step tokens, int n) {
    ops.rmsNorm(space.normed(), space.x(), 0, w.inputNorm(), epsilon, n);
    ops.matmul(space.queryKeyValue(), space.normed(), w.queryKeyValueA(), n);
    QueryUp up = w.queryUp();
    if (up != null) {
      ops.rmsNorm(space.queryLatent(), space.queryKeyValue(), 0, up.norm(), epsilon, n);
      ops.matmul(space.query(), space.queryLatent(), up.projection(), n);
    }
    ops.appendLatent(
        cache, layer, space.queryKeyValue(), queryRank, w.latentNorm(), rope, attention, tokens);
    ops.latentAttention(
        space.attended(), space.query(), cache, layer, w.latentUp(), rope, attention, tokens);
    ops.matmulAdd(space.x(), space.attended(), w.output(), n);
  }

  /** {@code x += ffn(norm(x))}: a dense layer, or routed and shared experts (eq. 12–16). */
  private void feedForward(FeedForward layer, int n) {
    if (layer instanceof FeedForward.MixtureOfExperts moe) {
      ops.rmsNormToRoute(space.normed(), space.normedFloats(), space.x(), layer.norm(), epsilon, n);
      ops.route(space.routing(), space.normedFloats(), moe.gate(), moe.bias(), router, n);
      ops.experts(space.x(), space.normed(), space.routing(), moe.experts(), n);
      if (moe.shared() != null && space.shared() != null) {
        swiglu(moe.shared(), space.shared(), n);
      }
    } else if (layer instanceof FeedForward.Dense mlp && space.dense() != null) {
      ops.rmsNorm(space.normed(), space.x(), 0, layer.norm(), epsilon, n);
      swiglu(mlp.mlp(), space.dense(), n);
    }
  }

  /** {@code x += down(silu(gate(normed)) · up(normed))}. */
  private void swiglu(Mlp mlp, Workspace.Activations activations, int n) {
    ops.gated(activations.product(), activations.gateUp(), space.normed(), mlp.gateUp(), n);
    ops.matmulAdd(space.x(), activations.product(), mlp.down(), n);
  }

  @Override
  public void computeLogits(int first, int count) {
    if (step == null || first < 0 || count > logitCapacity() || first + count > step.logitRows()) {
      throw new IllegalArgumentException(
          "logits of rows %d to %d: the step asks for %d rows, at most %d at once"
              .formatted(
                  first, first + count, step == null ? 0 : step.logitRows(), logitCapacity()));
    }
    ops.gatherLogitRows(space.last(), space.x(), step, first, count);
    ops.rmsNorm(space.lastNormed(), space.last(), 0, weights.norm(), epsilon, count);
    ops.matmul(space.logits(), space.lastNormed(), weights.lmHead(), count);
  }

  @Override
  public void answer(LogitQueries queries) {
    ops.answer(queries, space.logits());
  }

  @Override
  public void readLogits(int row, float[] out) {
    ops.read(space.logits(), row, out, 0);
  }

  @Override
  public int vocabularySize() {
    return config.vocabSize();
  }

  @Override
  public int maxPositions() {
    return config.maxPositionEmbeddings();
  }

  @Override
  public int cacheBlocks() {
    return cache.blocks();
  }

  @Override
  public int blockSize() {
    return cache.blockSize();
  }

  @Override
  public int logitCapacity() {
    return space.logits().capacity();
  }

  /** Frees the weights, the workspace and the cache. */
  @Override
  public void close() {
    ops.close();
  }
}
