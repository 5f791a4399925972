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

import java.util.SplittableRandom;

/**
 * One layer of latent attention on some {@link Ops}. A token's inputs are a function of its id, so
 * the same tokens can be computed in different steps, orders and blocks, and by different
 * operations.
 */
final class AttentionScene {
  private static final int LAYERS = 2;
  private static final int LAYER = 1;
  private static final int FROM = 5;
  private static final int IDS = 4096;

  final Ops ops;
  private final Attention attention;
  private final Rope rope;
  private final KvCache cache;
  private final Weight kvB;
  private final Weight gain;
  private final MatrixSource kv;
  private final MatrixSource queries;

  AttentionScene(Ops ops, Attention attention, int blocks, int blockSize) {
    this.ops = ops;
    this.attention = attention;
    double[] frequencies = new double[attention.ropeDim() / 2];
    for (int i = 0; i < frequencies.length; i++) {
      frequencies[i] = Math.pow(100, -i / (double) frequencies.length);
    }
    rope = new Rope(frequencies, 1.1);
    cache = ops.kvCache(LAYERS, blocks, blockSize, attention);
    int rows = attention.heads() * (attention.nopeDim() + attention.valueDim());
    kvB =
        ops.latentProjection(new RandomMatrix("kvB", rows, attention.latentDim(), 0.5f), attention);
    gain = ops.vector(new RandomMatrix("gain", 1, attention.latentDim(), 2));
    kv = new RandomMatrix("kv", IDS, FROM + attention.cacheColumns() + 1, 1);
    queries = new RandomMatrix("q", IDS, attention.queryColumns(), 1);
  }

  /** Fills every block with NaN, as a row gone wrong might have left it. */
  void poison() {
    Step step = new Step(cache.blockSize(), 1);
    Tensor rows = ops.floats(cache.blockSize(), kv.columns());
    for (int r = 0; r < cache.blockSize(); r++) {
      for (int c = 0; c < kv.columns(); c++) {
        Cells.set(rows, r, c, Float.NaN);
      }
    }
    for (int block = 0; block < cache.blocks(); block++) {
      step.clear();
      step.beginSequence(new int[] {block});
      for (int i = 0; i < cache.blockSize(); i++) {
        step.addToken(0, i);
      }
      ops.appendLatent(cache, LAYER, rows, FROM, gain, rope, attention, step);
    }
  }

  private static int[] ids(Step step) {
    int[] ids = new int[step.tokens()];
    for (int t = 0; t < ids.length; t++) {
      ids[t] = step.tokenId(t);
    }
    return ids;
  }

  /** Writes a step's cache entries. */
  void append(Step step) {
    Tensor rows = Cells.floats(ops, kv, ids(step));
    ops.appendLatent(cache, LAYER, rows, FROM, gain, rope, attention, step);
  }

  /** Computes a step: a row of the result for each of its tokens. */
  Tensor run(Step step) {
    append(step);
    int n = step.tokens();
    int[] ids = ids(step);
    Tensor out = ops.operand(n + 1, attention.outputColumns());
    ops.latentAttention(
        out, Cells.floats(ops, queries, ids), cache, LAYER, kvB, rope, attention, step);
    return out;
  }

  /** A block table over {@code blocks} blocks in random order. */
  static int[] shuffled(int blocks, SplittableRandom random) {
    int[] table = Cells.upTo(blocks);
    for (int i = blocks - 1; i > 0; i--) {
      int other = random.nextInt(i + 1);
      int kept = table[i];
      table[i] = table[other];
      table[other] = kept;
    }
    return table;
  }
}
