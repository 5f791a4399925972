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
 */
final class ScoreTiles {
  private final DType type;
  private final float[] sums = new float[Softmax.SUMS];
  private float[] scores = new float[0];
  private short[] rounded = new short[0];
  private float max;

  ScoreTiles(DType type) {
    this.type = type;
  }

  /** Makes room for {@code n} scores. */
  void reserve(int n) {
    if (scores.length < n) {
      int size = Math.max(n, 2 * scores.length);
      scores = new float[size];
      rounded = new short[type == DType.BF16 ? size : 0];
    }
  }

  /** Takes {@code n} scores out of the lane's target tile. */
  void takeScores(Lane lane, int at, int n) {
    lane.target.floats().get(0, scores, at, n);
  }

  /** Puts {@code n} probabilities into the lane's source tile. */
  void putProbabilities(Lane lane, int at, int n) {
    switch (type) {
      case BF16 -> lane.source.shorts().put(0, rounded, at, n);
      case F32 -> lane.source.floats().put(0, scores, at, n);
    }
  }

  /** Starts a row's softmax. */
  void begin() {
    max = Float.NEGATIVE_INFINITY;
    Arrays.fill(sums, 0f);
  }

  /** Masks a tile's row beyond its {@code visible} scores and takes them into the maximum. */
  void scan(int at, int visible, int stride) {
    Arrays.fill(scores, at + visible, at + stride, Float.NEGATIVE_INFINITY);
    max = Math.max(max, Rows.max(scores, at, visible));
  }

  /** Turns a scanned row into probabilities, not yet normalised, and adds them up. */
  void exponentiate(int at, int stride, float scale) {
    switch (type) {
      case BF16 -> Softmax.exponentials(scores, at, stride, max, scale, rounded, at, sums);
      case F32 -> Softmax.exponentials(scores, at, stride, max, scale, scores, at, sums);
    }
  }

  /** Gives the probability 0 to a row of a tile of which nothing is visible. */
  void hide(int at, int stride) {
    switch (type) {
      case BF16 -> Arrays.fill(rounded, at, at + stride, (short) 0);
      case F32 -> Arrays.fill(scores, at, at + stride, 0f);
    }
  }

  /** The sum of the row's probabilities. */
  float total() {
    return Softmax.total(sums);
  }
}
