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
  private static final VectorSpecies<Float> FLOATS = FloatVector.SPECIES_PREFERRED;

  /** Vectors that are summed side by side, since a sum waits for the one before. */
  private static final int CHAINS = 4;

  private RmsNorm() {}

  /**
   * {@code out = x / √(mean(x²) + epsilon) · gain} over {@code n} numbers; {@code out} is another
   * array than {@code x}.
   */
  public static void normalise(
      float[] x, int xFrom, float[] gain, float epsilon, float[] out, int outFrom, int n) {
    float squares = sumOfSquares(x, xFrom, n, out, outFrom);
    float scale = 1f / (float) Math.sqrt(squares / n + epsilon);
    for (int i = 0; i < n; i++) {
      out[outFrom + i] = x[xFrom + i] * scale * gain[i];
    }
  }

  /**
   * A partial sum for each lane of {@link #CHAINS} vectors and one for the rest, in a fixed order;
   * {@code scratch} has room for {@code n} numbers.
   */
  private static float sumOfSquares(float[] x, int from, int n, float[] scratch, int at) {
    int lanes = FLOATS.length();
    int end = from + n;
    int i = from;
    float sum = 0f;
    if (n >= CHAINS * lanes) {
      FloatVector s0 = FloatVector.zero(FLOATS);
      FloatVector s1 = s0;
      FloatVector s2 = s0;
      FloatVector s3 = s0;
      for (; i <= end - CHAINS * lanes; i += CHAINS * lanes) {
        FloatVector v0 = FloatVector.fromArray(FLOATS, x, i);
        FloatVector v1 = FloatVector.fromArray(FLOATS, x, i + lanes);
        FloatVector v2 = FloatVector.fromArray(FLOATS, x, i + 2 * lanes);
        FloatVector v3 = FloatVector.fromArray(FLOATS, x, i + 3 * lanes);
        s0 = v0.fma(v0, s0);
        s1 = v1.fma(v1, s1);
        s2 = v2.fma(v2, s2);
        s3 = v3.fma(v3, s3);
      }
      s0.add(s1).add(s2.add(s3)).intoArray(scratch, at);
      for (int lane = 0; lane < lanes; lane++) {
        sum += scratch[at + lane];
      }
    }
    float rest = 0f;
    for (; i < end; i++) {
      rest = Math.fma(x[i], x[i], rest);
    }
    return sum + rest;
  }
}
