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
package dev.moontide.checkpoint;

/** IEEE 754 half precision: 1 sign, 5 exponent, 10 mantissa bits. */
final class Float16 {
  /** The value of each bit pattern. */
  static final float[] VALUES = values();

  private Float16() {}

  private static float[] values() {
    float[] values = new float[1 << 16];
    for (int bits = 0; bits < values.length; bits++) {
      int exponent = bits >>> 10 & 0x1f;
      int mantissa = bits & 0x3ff;
      float magnitude;
      if (exponent == 0x1f) {
        magnitude = mantissa == 0 ? Float.POSITIVE_INFINITY : Float.NaN;
      } else if (exponent == 0) {
        magnitude = mantissa * 0x1p-24f;
      } else {
        magnitude = Math.scalb(1 + mantissa * 0x1p-10f, exponent - 15);
      }
      values[bits] = bits >>> 15 == 0 ? magnitude : -magnitude;
    }
    return values;
  }
}
