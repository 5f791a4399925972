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

import dev.moontide.cpu.vector.Rows;
import dev.moontide.tensor.Attention;
import dev.moontide.tensor.DType;
import dev.moontide.tensor.Step;

/**
 * Softmax over the latent cache and the weighted sum of latents, for neighbouring tokens of one
 * sequence times some heads; rows are ordered by token, then head. First the scores of every tile
 * and each row's maximum, then probabilities and the sum, some tiles at a time.
 *
 * <p>The arithmetic of a row is that of the row alone: its tiles are the cache's blocks in the
 * sequence's order and then its ancestors, gathered in theirs; what only another row of the task
 * sees has weight 0. One object serves one thread.
 */
@SuppressWarnings("NullAway.Init") // The fields below are one task's.
final class AttentionTask implements AutoCloseable {
  /** Scores that are computed and exponentiated at a time, in the first cache. */
  private static final int TOGETHER = 1 << 13;

  private final Lane lane;
  private final DType type;
  private final Tile queries;
  private final Tile sums;
  private final ScoreTiles scores;
  private final GatheredBlock gathered = new GatheredBlock();

  private LatentCache cache;
  private LatentLayout layout;
  private Attention attention;
  private Step step;
  private int layer;
  private int first;
  private int tokens;
  private int heads;
  private int rows;
  private int tiles;
  private int stride;
  private int together;
  private int[] blockTable;

  AttentionTask(Lane lane, DType type, Tile queries, Tile sums) {
    this.lane = lane;
    this.type = type;
    this.queries = queries;
    this.sums = sums;
    scores = new ScoreTiles(type);
  }

  /** What the next tasks attend to. */
  void over(LatentCache latents, int layerIndex, Attention shape, Step s) {
    cache = latents;
    layout = latents.layout();
    layer = layerIndex;
    attention = shape;
    step = s;
    stride = layout.stride();
  }

  /** Attends for {@code tokenCount} tokens and {@code headCount} heads. */
  void run(int rangeStart, int firstToken, int tokenCount, int firstHead, int headCount) {
    first = firstToken;
    tokens = tokenCount;
    heads = headCount;
    rows = tokenCount * headCount;
    blockTable = step.blockTable(step.sequence(firstToken));
    int row = (firstToken - rangeStart) * attention.heads() + firstHead;
    reserve();
    score(queries.address() + (long) row * attention.cacheColumns() * type.bytes());
    scan();
    sum();
    finish(row * attention.latentDim());
  }

  private void reserve() {
    int blockSize = cache.blockSize();
    int prefix = 0;
    int gatheredTiles = 0;
    for (int t = first; t < first + tokens; t++) {
      prefix = Math.max(prefix, step.prefixLength(t));
      gatheredTiles += gatheredTiles(t);
    }
    tiles = (prefix + blockSize - 1) / blockSize;
    together = Math.max(1, TOGETHER / (rows * stride));
    int most = together * rows * stride;
    scores.reserve((tiles * rows + gatheredTiles * heads) * stride, most);
    lane.source.reserve((long) most * type.bytes());
    lane.target.reserve((long) Math.max(most, rows * layout.sumStride()) * DType.F32.bytes());
    if (gatheredTiles > 0) {
      gathered.reserve(layout);
    }
  }

  private int ancestors(int t) {
    return step.ancestorStart(t + 1) - step.ancestorStart(t);
  }

  private int gatheredTiles(int t) {
    return (ancestors(t) + cache.blockSize() - 1) / cache.blockSize();
  }

  private void score(long query) {
    long target = lane.target.address();
    int ofTile = rows * stride;
    for (int tile = 0; tile < tiles; tile += together) {
      int count = Math.min(together, tiles - tile);
      for (int i = 0; i < count; i++) {
        long keys = cache.keysAddress(layer, blockTable[tile + i]);
        long to = target + (long) i * ofTile * DType.F32.bytes();
        lane.multiply(layout.scores(), rows, query, keys, to);
      }
      scores.takeScores(lane, tile * ofTile, count * ofTile);
    }
    int at = tiles * rows * stride;
    for (int i = 0; i < tokens; i++) {
      long ofToken = query + (long) i * heads * attention.cacheColumns() * type.bytes();
      for (int tile = 0; tile < gatheredTiles(first + i); tile++, at += heads * stride) {
        gatherKeys(first + i, tile);
        lane.multiply(layout.scores(), heads, ofToken, gathered.keys(), target);
        scores.takeScores(lane, at, heads * stride);
      }
    }
  }

  private void gatherKeys(int t, int tile) {
    int from = step.ancestorStart(t) + tile * cache.blockSize();
    int count = visible(ancestors(t), tile);
    for (int i = 0; i < count; i++) {
      int entry = step.ancestor(from + i);
      int block = blockTable[entry / cache.blockSize()];
      layout.copyKeys(
          cache.buffer(layer, block),
          cache.offset(block),
          entry % cache.blockSize(),
          gathered.buffer(),
          i);
    }
  }

  private void gatherValues(int t, int tile) {
    int from = step.ancestorStart(t) + tile * cache.blockSize();
    int count = visible(ancestors(t), tile);
    for (int i = 0; i < count; i++) {
      int entry = step.ancestor(from + i);
      int block = blockTable[entry / cache.blockSize()];
      layout.copyValues(
          cache.buffer(layer, block),
          cache.offset(block),
          entry % cache.blockSize(),
          gathered.buffer(),
          i);
    }
  }

  /** How many of {@code length} entries tile {@code tile} shows. */
  private int visible(int length, int tile) {
    return Math.max(0, Math.min(cache.blockSize(), length - tile * cache.blockSize()));
  }

  /** Masks what rows do not see and finds each row's maximum. */
  private void scan() {
    scores.begin(rows);
    for (int row = 0; row < rows; row++) {
      int t = first + row / heads;
      int prefix = step.prefixLength(t);
      for (int tile = 0; tile < tiles; tile++) {
        scores.scan(row, (tile * rows + row) * stride, visible(prefix, tile), stride);
      }
      int at = gatheredAt(row);
      for (int tile = 0; tile < gatheredTiles(t); tile++, at += heads * stride) {
        scores.scan(row, at, visible(ancestors(t), tile), stride);
      }
    }
  }

  /** Where the gathered tiles of a row's token begin, at the row's head. */
  private int gatheredAt(int row) {
    int at = tiles * rows * stride;
    for (int i = 0; i < row / heads; i++) {
      at += gatheredTiles(first + i) * heads * stride;
    }
    return at + row % heads * stride;
  }

  /** The weighted sum of latents, by probabilities computed on the way. */
  private void sum() {
    long source = lane.source.address();
    long target = lane.target.address();
    int ofTile = rows * stride;
    for (int tile = 0; tile < tiles; tile += together) {
      int count = Math.min(together, tiles - tile);
      probabilities(0, rows, tile * ofTile, count);
      for (int i = 0; i < count; i++) {
        Product product = tile + i == 0 ? layout.firstSum() : layout.nextSum();
        long values = cache.valuesAddress(layer, blockTable[tile + i]);
        lane.multiply(product, rows, source + (long) i * ofTile * type.bytes(), values, target);
      }
    }
    int at = tiles * ofTile;
    for (int i = 0; i < tokens; i++) {
      long ofToken = target + (long) i * heads * layout.sumStride() * DType.F32.bytes();
      for (int tile = 0; tile < gatheredTiles(first + i); tile++, at += heads * stride) {
        gatherValues(first + i, tile);
        probabilities(i * heads, heads, at, 1);
        Product product = tiles + tile == 0 ? layout.firstSum() : layout.nextSum();
        lane.multiply(product, heads, source, gathered.keys() + layout.valuesOffset(), ofToken);
      }
    }
  }

  /**
   * Puts the probabilities of {@code rowCount} rows in {@code count} tiles into the source tile.
   */
  private void probabilities(int firstRow, int rowCount, int at, int count) {
    int segments = rowCount * count;
    for (int i = 0; i < segments; i++) {
      scores.shift(firstRow + i % rowCount, at + i * stride, stride, attention.softmaxScale());
    }
    scores.exponentiate(lane, at, segments * stride);
    for (int i = 0; i < segments; i++) {
      scores.add(firstRow + i % rowCount, at + i * stride, stride);
    }
  }

  /** Normalises the sums in the target tile and writes them as operands of {@code W_uv}. */
  private void finish(int to) {
    int latentDim = attention.latentDim();
    float[] sum = lane.floats(latentDim);
    for (int r = 0; r < rows; r++) {
      lane.target.floats().get(r * layout.sumStride(), sum, 0, latentDim);
      Rows.scale(sum, 0, latentDim, 1f / scores.total(r));
      Staging.floats(lane, type, sum, latentDim, sums, to + r * latentDim);
    }
  }

  @Override
  public void close() {
    gathered.close();
  }
}
