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

/**
 * FP8 as Kimi-K2 stores weights: 1 sign, 4 exponent, 3 mantissa bits; no infinities, the highest
 * pattern of either sign is NaN (arXiv 2209.05433, "E4M3").
 */
final class Float8E4M3 {
  /** The value of each bit pattern. */
  static final float[] VALUES = values();

  private Float8E4M3() {}

  private static float[] values() {
    float[] values = new float[1 << 8];
    for (int bits = 0; bits < values.length; bits++) {
      int exponent = bits >>> 3 & 0xf;
      int mantissa = bits & 7;
      float magnitude;
      if (exponent == 0xf && mantissa == 7) {
        magnitude = Float.NaN;
      } else if (exponent == 0) {
        magnitude = mantissa * 0x1p-9f;
      } else {
        magnitude = Math.scalb(1 + mantissa * 0x1p-3f, exponent - 7);
      }
      values[bits] = bits >>> 7 == 0 ? magnitude : -magnitude;
    }
    return values;
  }
}
