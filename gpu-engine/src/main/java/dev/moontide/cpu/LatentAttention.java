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
package dev.moontide.cpu;

import dev.moontide.tensor.Attention;
import dev.moontide.tensor.DType;
import dev.moontide.tensor.Step;

/**
 * Multi-head latent attention in its absorbed form, for prefill and decode alike, so that a token's
 * bits do not depend on how its sequence was cut into steps.
 *
 * <p>Three rounds over a range of tokens: queries are absorbed ({@code nope·W_uk}) and rotated, by
 * head over many tokens; {@link LatentCore} attends to the cache, by token over many heads; the
 * sums of latents go through {@code W_uv}, by head again.
 */
@SuppressWarnings("NullAway.Init") // The fields below are one call's arguments.
final class LatentAttention implements AutoCloseable {
  /** Tokens of a range, whose queries and sums stay in the shared cache. */
  private static final int RANGE = 256;

  private final Workers workers;
  private final Lane[] lanes;
  private final DType type;
  private final LatentCore core;
  private final Tile queries = new Tile();
  private final Tile sums = new Tile();
  private final Workers.Body absorb = this::absorb;
  private final Workers.Body values = this::values;

  private NativeTensor out;
  private NativeTensor q;
  private LatentWeight weight;
  private RotationTable rotations;
  private Attention attention;
  private Step step;
  private int first;
  private int tokens;
  private int block;
  private int blocks;

  LatentAttention(Workers workers, Lane[] lanes, DType type) {
    this.workers = workers;
    this.lanes = lanes;
    this.type = type;
    core = new LatentCore(workers, lanes, type, queries, sums);
  }

  void run(
      NativeTensor result,
      NativeTensor query,
      LatentCache cache,
      int layer,
      LatentWeight kvB,
      RotationTable table,
      Attention shape,
      Step tokensOfStep) {
    out = result;
    q = query;
    weight = kvB;
    rotations = table;
    attention = shape;
    step = tokensOfStep;
    int range = Math.min(RANGE, step.maxTokens());
    int rows = range * shape.heads();
    queries.reserve((long) rows * shape.cacheColumns() * type.bytes());
    sums.reserve((long) rows * shape.latentDim() * type.bytes());
    for (first = 0; first < step.tokens(); first += range) {
      tokens = Math.min(range, step.tokens() - first);
      planBlocks();
      workers.run(blocks * shape.heads(), absorb);
      core.run(cache, layer, shape, step, first, tokens);
      workers.run(blocks * shape.heads(), values);
    }
  }

  private void planBlocks() {
    blocks = (tokens + MatmulKernel.MAX_ROWS - 1) / MatmulKernel.MAX_ROWS;
    block = MatmulKernel.MAX_ROWS;
  }

  private void absorb(int task, int worker) {
    Lane lane = lanes[worker];
    int heads = attention.heads();
    int nopeDim = attention.nopeDim();
    int ropeDim = attention.ropeDim();
    int head = task % heads;
    int from = task / heads * block;
    int count = Math.min(block, tokens - from);
    int headColumn = head * (nopeDim + ropeDim);
    lane.source.reserve((long) count * nopeDim * type.bytes());
    float[] slices = lane.floats(Math.max(count * nopeDim, ropeDim));
    for (int r = 0; r < count; r++) {
      q.get(first + from + r, headColumn, slices, r * nopeDim, nopeDim);
    }
    Staging.floats(lane, type, slices, count * nopeDim, lane.source, 0);
    long to = queries.address() + queryIndex(from, head) * (long) type.bytes();
    lane.multiply(weight.absorb(), count, lane.source.address(), weight.absorbAddress(head), to);
    float[] rope = lane.scratch(ropeDim);
    for (int r = 0; r < count; r++) {
      int t = first + from + r;
      q.get(t, headColumn + nopeDim, rope, 0, ropeDim);
      rotations.rotate(step.position(t), rope, 0, slices, 0);
      int rotated = queryIndex(from + r, head) + attention.latentDim();
      Staging.floats(lane, type, slices, ropeDim, queries, rotated);
    }
  }

  /** Where the query of the range's token {@code i} begins for {@code head}. */
  private int queryIndex(int i, int head) {
    return (i * attention.heads() + head) * attention.cacheColumns();
  }

  private void values(int task, int worker) {
    Lane lane = lanes[worker];
    int heads = attention.heads();
    int head = task % heads;
    int from = task / heads * block;
    int count = Math.min(block, tokens - from);
    long sum = sums.address() + (long) (from * heads + head) * attention.latentDim() * type.bytes();
    long to = out.address(first + from) + (long) head * attention.valueDim() * type.bytes();
    lane.multiply(weight.value(), count, sum, weight.valueAddress(head), to);
  }

  @Override
  public void close() {
    core.close();
    queries.close();
    sums.close();
  }
}
