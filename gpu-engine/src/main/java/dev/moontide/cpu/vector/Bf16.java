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
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/**
 * bfloat16, the upper half of a float32, held in {@code short}s. Rounding is to nearest, ties to
 * even; a NaN stays a NaN.
 */
public final class Bf16 {
  static final VectorSpecies<Float> FLOATS = FloatVector.SPECIES_PREFERRED;
  static final VectorSpecies<Integer> INTS = IntVector.SPECIES_PREFERRED;

  /** As many shorts as {@link #FLOATS} has floats. */
  static final VectorSpecies<Short> SHORTS =
      VectorSpecies.of(short.class, VectorShape.forBitSize(FLOATS.vectorBitSize() / 2));

  private static final int QUIET = 0x40;
  private static final int MAGNITUDE = 0x7FFFFFFF;
  private static final int INFINITY_BITS = 0x7F800000;

  private Bf16() {}

  public static short fromFloat(float x) {
    int bits = Float.floatToRawIntBits(x);
    return !Float.isNaN(x)
        ? (short) ((bits + 0x7FFF + ((bits >>> 16) & 1)) >>> 16)
        : (short) ((bits >>> 16) | QUIET);
  }

  public static float toFloat(short x) {
    return Float.intBitsToFloat(x << 16);
  }

  /** Rounds {@code n} floats. */
  public static void fromFloats(float[] x, int xFrom, short[] out, int outFrom, int n) {
    int lanes = FLOATS.length();
    int i = 0;
    for (; i <= n - lanes; i += lanes) {
      IntVector bits = FloatVector.fromArray(FLOATS, x, xFrom + i).reinterpretAsInts();
      IntVector upper = bits.lanewise(VectorOperators.LSHR, 16);
      IntVector rounded = bits.add(upper.and(1)).add(0x7FFF).lanewise(VectorOperators.LSHR, 16);
      // A NaN's magnitude is beyond infinity's; it must not be rounded up into another number.
      IntVector result =
          rounded.blend(
              upper.or(QUIET), bits.and(MAGNITUDE).compare(VectorOperators.GT, INFINITY_BITS));
      ((ShortVector) result.convertShape(VectorOperators.I2S, SHORTS, 0))
          .intoArray(out, outFrom + i);
    }
    for (; i < n; i++) {
      out[outFrom + i] = fromFloat(x[xFrom + i]);
    }
  }

  /** Widens {@code n} numbers. */
  public static void toFloats(short[] x, int xFrom, float[] out, int outFrom, int n) {
    int lanes = FLOATS.length();
    int i = 0;
    for (; i <= n - lanes; i += lanes) {
      ((IntVector)
              ShortVector.fromArray(SHORTS, x, xFrom + i)
                  .convertShape(VectorOperators.S2I, INTS, 0))
          .lanewise(VectorOperators.LSHL, 16)
          .reinterpretAsFloats()
          .intoArray(out, outFrom + i);
    }
    for (; i < n; i++) {
      out[outFrom + i] = toFloat(x[xFrom + i]);
    }
  }
}
