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

import static jdk.incubator.vector.VectorOperators.ASHR;
import static jdk.incubator.vector.VectorOperators.GT;
import static jdk.incubator.vector.VectorOperators.LSHL;
import static jdk.incubator.vector.VectorOperators.LT;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * The exponential function in float32, at most 2 units in the last place off. The scalar and the
 * vector form apply the same operations in the same order, so a number's result does not depend on
 * where in an array it stands, on the vector width or on what the JIT compiled; the JDK's own
 * {@code EXP} operator does not promise that.
 *
 * <p>{@code exp(x) = 2^n · exp(r)} with {@code n = round(x / ln 2)} and {@code |r| ≤ ln 2 / 2}; ln
 * 2 is split in two (Cody and Waite) and {@code exp(r)} a polynomial of degree 6.
 */
final class Exp {
  private static final VectorSpecies<Float> FLOATS = FloatVector.SPECIES_PREFERRED;

  /** Beyond these the result is 0 or infinite in any case; {@code n} stays a valid exponent. */
  private static final float LOWEST = -104f;

  private static final float HIGHEST = 89f;

  private static final float LOG2_E = 1.44269504f;

  /** 1.5 · 2^23: adding it leaves round(x) in the low bits of the sum. */
  private static final float ROUNDER = 12582912f;

  private static final int ROUNDER_BITS = 0x4B400000;
  private static final float LN2_HIGH = 0.693145752f;
  private static final float LN2_LOW = 1.42860682e-6f;
  private static final float C6 = 1.38145932e-3f;
  private static final float C5 = 8.36870696e-3f;
  private static final float C4 = 4.16683874e-2f;
  private static final float C3 = 1.66665207e-1f;
  private static final float C2 = 4.99999935e-1f;

  private Exp() {}

  static float of(float x) {
    float bounded = x < LOWEST ? LOWEST : x;
    bounded = bounded > HIGHEST ? HIGHEST : bounded;
    float shifted = Math.fma(bounded, LOG2_E, ROUNDER);
    int n = Float.floatToRawIntBits(shifted) - ROUNDER_BITS;
    float whole = shifted - ROUNDER;
    float r = Math.fma(whole, -LN2_LOW, Math.fma(whole, -LN2_HIGH, bounded));
    float p = Math.fma(C6, r, C5);
    p = Math.fma(p, r, C4);
    p = Math.fma(p, r, C3);
    p = Math.fma(p, r, C2);
    p = Math.fma(p, r, 1f);
    p = Math.fma(p, r, 1f);
    int half = n >> 1;
    return p * powerOfTwo(half) * powerOfTwo(n - half);
  }

  private static float powerOfTwo(int n) {
    return Float.intBitsToFloat((n + 127) << 23);
  }

  /**
   * {@code out[i] = exp((x[i] − shift) · scale)} of {@code n} numbers. One loop with nothing to
   * call: a vector handed to a method that the JIT does not inline is boxed on the heap.
   */
  static void of(float[] x, int from, float shift, float scale, float[] out, int outFrom, int n) {
    int lanes = FLOATS.length();
    FloatVector rounder = FloatVector.broadcast(FLOATS, ROUNDER);
    FloatVector log2e = FloatVector.broadcast(FLOATS, LOG2_E);
    FloatVector minusLow = FloatVector.broadcast(FLOATS, -LN2_LOW);
    FloatVector minusHigh = FloatVector.broadcast(FLOATS, -LN2_HIGH);
    FloatVector c6 = FloatVector.broadcast(FLOATS, C6);
    FloatVector c5 = FloatVector.broadcast(FLOATS, C5);
    FloatVector c4 = FloatVector.broadcast(FLOATS, C4);
    FloatVector c3 = FloatVector.broadcast(FLOATS, C3);
    FloatVector c2 = FloatVector.broadcast(FLOATS, C2);
    FloatVector one = FloatVector.broadcast(FLOATS, 1f);
    FloatVector lowest = FloatVector.broadcast(FLOATS, LOWEST);
    FloatVector highest = FloatVector.broadcast(FLOATS, HIGHEST);
    int i = 0;
    for (; i <= n - lanes; i += lanes) {
      FloatVector v = FloatVector.fromArray(FLOATS, x, from + i).sub(shift).mul(scale);
      v = v.blend(lowest, v.compare(LT, lowest));
      v = v.blend(highest, v.compare(GT, highest));
      FloatVector shifted = v.fma(log2e, rounder);
      IntVector exponent = shifted.reinterpretAsInts().sub(ROUNDER_BITS);
      FloatVector whole = shifted.sub(rounder);
      FloatVector r = whole.fma(minusLow, whole.fma(minusHigh, v));
      FloatVector p = c6.fma(r, c5).fma(r, c4).fma(r, c3).fma(r, c2).fma(r, one).fma(r, one);
      IntVector half = exponent.lanewise(ASHR, 1);
      IntVector rest = exponent.sub(half);
      p.mul(half.add(127).lanewise(LSHL, 23).reinterpretAsFloats())
          .mul(rest.add(127).lanewise(LSHL, 23).reinterpretAsFloats())
          .intoArray(out, outFrom + i);
    }
    for (; i < n; i++) {
      out[outFrom + i] = of((x[from + i] - shift) * scale);
    }
  }
}
