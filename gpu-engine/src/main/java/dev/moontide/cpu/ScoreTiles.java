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
import dev.moontide.cpu.vector.Softmax;
import dev.moontide.tensor.DType;
import java.util.Arrays;

/**
 * One thread's attention scores and what a softmax makes of them. They lie in rows of {@link
 * LatentLayout#stride()} numbers, one a block of the cache, of which the leading ones are visible.
 * A row of a task has as many of those as it sees blocks, each with the task's other rows.
 */
final class ScoreTiles {
  private final DType type;
  private final float[] maxima = new float[MatmulKernel.MAX_ROWS];
  private final float[] sums = new float[MatmulKernel.MAX_ROWS * Softmax.SUMS];
  private float[] scores = new float[0];
  private short[] rounded = new short[0];

  ScoreTiles(DType type) {
    this.type = type;
  }

  /** Makes room for {@code n} scores, and for {@code together} probabilities at a time. */
  void reserve(int n, int together) {
    if (scores.length < n) {
      scores = new float[Math.max(n, 2 * scores.length)];
    }
    if (type == DType.BF16 && rounded.length < together) {
      rounded = new short[together];
    }
  }

  /** Takes {@code n} scores out of the lane's target tile. */
  void takeScores(Lane lane, int at, int n) {
    lane.target.floats().get(0, scores, at, n);
  }

  /** Starts the softmax of {@code rows} rows. */
  void begin(int rows) {
    Arrays.fill(maxima, 0, rows, Float.NEGATIVE_INFINITY);
    Arrays.fill(sums, 0, rows * Softmax.SUMS, 0f);
  }

  /** Masks what lies beyond a block's {@code visible} scores, and takes those into the maximum. */
  void scan(int row, int at, int visible, int stride) {
    Arrays.fill(scores, at + visible, at + stride, Float.NEGATIVE_INFINITY);
    if (visible > 0) {
      maxima[row] = Math.max(maxima[row], Rows.max(scores, at, visible));
    }
  }

  /** What the exponential is taken of, for a scanned row of a block. */
  void shift(int row, int at, int stride, float scale) {
    Rows.shift(scores, at, stride, maxima[row], scale);
  }

  /**
   * Turns {@code n} shifted scores into probabilities, not yet normalised, and puts them into the
   * lane's source tile.
   */
  void exponentiate(Lane lane, int at, int n) {
    switch (type) {
      case BF16 -> {
        Softmax.exponentials(scores, at, rounded, n);
        lane.source.shorts().put(0, rounded, 0, n);
      }
      case F32 -> {
        Softmax.exponentials(scores, at, n);
        lane.source.floats().put(0, scores, at, n);
      }
    }
  }

  /** Adds a row's probabilities of a block to its sum, once they are computed. */
  void add(int row, int at, int stride) {
    Softmax.add(sums, row * Softmax.SUMS, scores, at, stride);
  }

  /** The sum of a row's probabilities. */
  float total(int row) {
    return Softmax.total(sums, row * Softmax.SUMS);
  }
}
