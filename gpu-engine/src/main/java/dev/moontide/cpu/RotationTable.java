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

import dev.moontide.tensor.Rope;
import java.util.Arrays;

/**
 * Cosines and sines of every position met so far, computed in float64 and kept in float32. It is
 * extended by the thread that runs an operation, before others read it.
 */
final class RotationTable {
  private final Rope rope;
  private final int dimension;
  private int positions;

  /** Of each position the cosine and sine of each pair, side by side. */
  private float[] values = new float[0];

  RotationTable(Rope rope) {
    this.rope = rope;
    dimension = rope.dimension();
  }

  /** Whether this is the table of {@code other}. */
  boolean isOf(Rope other) {
    return rope == other;
  }

  /** Extends the table to {@code position}. */
  void reach(int position) {
    if (position < positions) {
      return;
    }
    int end = Math.max(position + 1, 2 * positions);
    values = Arrays.copyOf(values, Math.multiplyExact(end, dimension));
    for (int p = positions; p < end; p++) {
      rope.rotation(p, values, p * dimension);
    }
    positions = end;
  }

  /** Rotates the pairs of a slice of {@code x} by {@code position} into {@code out}. */
  void rotate(int position, float[] x, int from, float[] out, int to) {
    int at = position * dimension;
    for (int i = 0; i < dimension; i += 2) {
      float cos = values[at + i];
      float sin = values[at + i + 1];
      float a = x[from + i];
      float b = x[from + i + 1];
      out[to + i] = a * cos - b * sin;
      out[to + i + 1] = a * sin + b * cos;
    }
  }
}
