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
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/** Arithmetic on rows of float32, element by element and so independent of the vector width. */
public final class Rows {
  private static final VectorSpecies<Float> FLOATS = FloatVector.SPECIES_PREFERRED;

  private Rows() {}

  /** {@code out += x}. */
  public static void add(float[] out, int outFrom, float[] x, int xFrom, int n) {
    int lanes = FLOATS.length();
    int i = 0;
    for (; i <= n - lanes; i += lanes) {
      FloatVector.fromArray(FLOATS, out, outFrom + i)
          .add(FloatVector.fromArray(FLOATS, x, xFrom + i))
          .intoArray(out, outFrom + i);
    }
    for (; i < n; i++) {
      out[outFrom + i] += x[xFrom + i];
    }
  }

  /** {@code x · factor + 0}, in place: the sum turns −0 into 0. */
  public static void scale(float[] x, int from, int n, float factor) {
    int lanes = FLOATS.length();
    int i = 0;
    for (; i <= n - lanes; i += lanes) {
      FloatVector.fromArray(FLOATS, x, from + i).mul(factor).add(0f).intoArray(x, from + i);
    }
    for (; i < n; i++) {
      x[from + i] = x[from + i] * factor + 0f;
    }
  }

  /**
   * {@code out += Σ_k weights[k] · x_k} for {@code k} in ascending order, each a fused
   * multiply-add; row {@code x_k} starts at {@code xFrom + k · n}.
   */
  public static void addWeighted(
      float[] out,
      int outFrom,
      float[] x,
      int xFrom,
      int n,
      float[] weights,
      int first,
      int count) {
    int lanes = FLOATS.length();
    int i = 0;
    for (; i <= n - lanes; i += lanes) {
      FloatVector sum = FloatVector.fromArray(FLOATS, out, outFrom + i);
      for (int k = 0; k < count; k++) {
        FloatVector weight = FloatVector.broadcast(FLOATS, weights[first + k]);
        sum = weight.fma(FloatVector.fromArray(FLOATS, x, xFrom + k * n + i), sum);
      }
      sum.intoArray(out, outFrom + i);
    }
    for (; i < n; i++) {
      float sum = out[outFrom + i];
      for (int k = 0; k < count; k++) {
        sum = Math.fma(weights[first + k], x[xFrom + k * n + i], sum);
      }
      out[outFrom + i] = sum;
    }
  }

  /** The largest of {@code n ≥ 1} numbers, NaNs aside; negative infinity where all are NaN. */
  public static float max(float[] x, int from, int n) {
    int lanes = FLOATS.length();
    FloatVector best = FloatVector.broadcast(FLOATS, Float.NEGATIVE_INFINITY);
    int i = 0;
    for (; i <= n - lanes; i += lanes) {
      FloatVector v = FloatVector.fromArray(FLOATS, x, from + i);
      best = best.blend(v, v.compare(VectorOperators.GT, best));
    }
    float max = best.reduceLanes(VectorOperators.MAX);
    for (; i < n; i++) {
      float v = x[from + i];
      max = v > max ? v : max;
    }
    return max;
  }

  /** The first place, from {@code from}, of a number equal to {@code value}; {@code n} if none. */
  public static int firstEqual(float[] x, int from, int n, float value) {
    int lanes = FLOATS.length();
    int i = 0;
    for (; i <= n - lanes; i += lanes) {
      if (FloatVector.fromArray(FLOATS, x, from + i).compare(VectorOperators.EQ, value).anyTrue()) {
        break;
      }
    }
    while (i < n && x[from + i] != value) {
      i++;
    }
    return i;
  }

  /** Whether none of {@code n} numbers is infinite or NaN. */
  public static boolean finite(float[] x, int from, int n) {
    int lanes = FLOATS.length();
    int i = 0;
    for (; i <= n - lanes; i += lanes) {
      FloatVector magnitude = FloatVector.fromArray(FLOATS, x, from + i).abs();
      if (!magnitude.compare(VectorOperators.LE, Float.MAX_VALUE).allTrue()) {
        return false;
      }
    }
    for (; i < n; i++) {
      if (!Float.isFinite(x[from + i])) {
        return false;
      }
    }
    return true;
  }
}
