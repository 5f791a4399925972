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

/**
 * Simple loops over rows. Most are written plainly because the JIT vectorises them by itself, and
 * because until its optimising tier has compiled a method, the Vector API costs a hundred times
 * what plain code does.
 */
public final class Rows {
  private static final VectorSpecies<Float> FLOATS = FloatVector.SPECIES_PREFERRED;

  private Rows() {}

  /** {@code x · factor + 0}, in place: the sum turns −0 into 0. */
  public static void scale(float[] x, int from, int n, float factor) {
    for (int i = from; i < from + n; i++) {
      x[i] = x[i] * factor + 0f;
    }
  }

  /** {@code (x − by) · factor}, in place. */
  public static void shift(float[] x, int from, int n, float by, float factor) {
    for (int i = from; i < from + n; i++) {
      x[i] = (x[i] - by) * factor;
    }
  }

  /** {@code out += weight · x} of the first {@code n} numbers, each a fused multiply-add. */
  public static void addWeighted(float[] out, float[] x, int n, float weight) {
    for (int i = 0; i < n; i++) {
      out[i] = Math.fma(weight, x[i], out[i]);
    }
  }

  /** The largest of {@code n ≥ 1} numbers, NaNs aside; negative infinity where all are NaN. */
  public static float max(float[] x, int from, int n) {
    int lanes = FLOATS.length();
    FloatVector best = FloatVector.broadcast(FLOATS, Float.NEGATIVE_INFINITY);
    int end = from + n;
    int i = from;
    for (; i <= end - lanes; i += lanes) {
      FloatVector v = FloatVector.fromArray(FLOATS, x, i);
      best = best.blend(v, v.compare(VectorOperators.GT, best));
    }
    float max = best.reduceLanes(VectorOperators.MAX);
    for (; i < end; i++) {
      max = x[i] > max ? x[i] : max;
    }
    return max;
  }

  /** Whether none of {@code n} numbers is infinite or NaN. */
  public static boolean finite(float[] x, int from, int n) {
    // Zero times a finite number is 0, times any other NaN; the sum keeps a NaN.
    float s0 = 0f;
    float s1 = 0f;
    int end = from + n;
    int i = from;
    for (; i <= end - 2; i += 2) {
      s0 += 0f * x[i];
      s1 += 0f * x[i + 1];
    }
    if (i < end) {
      s0 += 0f * x[i];
    }
    return s0 + s1 == 0f;
  }
}
