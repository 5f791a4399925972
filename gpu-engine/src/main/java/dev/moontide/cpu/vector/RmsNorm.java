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
package dev.moontide.cpu.vector;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/** Root mean square normalisation (arXiv 1910.07467) of one row. */
public final class RmsNorm {
  /** A fixed width, so that the sum's order is the same on every machine. */
  private static final VectorSpecies<Float> QUARTER = FloatVector.SPECIES_128;

  private static final VectorSpecies<Float> FLOATS = FloatVector.SPECIES_PREFERRED;

  private RmsNorm() {}

  /** {@code out = x / √(mean(x²) + epsilon) · gain} over {@code n} numbers. */
  public static void normalise(
      float[] x, int xFrom, float[] gain, float epsilon, float[] out, int outFrom, int n) {
    float scale = 1f / (float) Math.sqrt(sumOfSquares(x, xFrom, n) / n + epsilon);
    int lanes = FLOATS.length();
    int i = 0;
    for (; i <= n - lanes; i += lanes) {
      FloatVector.fromArray(FLOATS, x, xFrom + i)
          .mul(scale)
          .mul(FloatVector.fromArray(FLOATS, gain, i))
          .intoArray(out, outFrom + i);
    }
    for (; i < n; i++) {
      out[outFrom + i] = x[xFrom + i] * scale * gain[i];
    }
  }

  /** Sixteen partial sums, element {@code i} going to sum {@code i mod 16}, then a fixed tree. */
  static float sumOfSquares(float[] x, int from, int n) {
    FloatVector s0 = FloatVector.zero(QUARTER);
    FloatVector s1 = s0;
    FloatVector s2 = s0;
    FloatVector s3 = s0;
    int i = 0;
    for (; i <= n - 16; i += 16) {
      FloatVector v0 = FloatVector.fromArray(QUARTER, x, from + i);
      FloatVector v1 = FloatVector.fromArray(QUARTER, x, from + i + 4);
      FloatVector v2 = FloatVector.fromArray(QUARTER, x, from + i + 8);
      FloatVector v3 = FloatVector.fromArray(QUARTER, x, from + i + 12);
      s0 = v0.fma(v0, s0);
      s1 = v1.fma(v1, s1);
      s2 = v2.fma(v2, s2);
      s3 = v3.fma(v3, s3);
    }
    float tail = 0f;
    for (; i < n; i++) {
      tail = Math.fma(x[from + i], x[from + i], tail);
    }
    FloatVector sum = s0.add(s1).add(s2.add(s3));
    return (sum.lane(0) + sum.lane(1)) + (sum.lane(2) + sum.lane(3)) + tail;
  }
}
