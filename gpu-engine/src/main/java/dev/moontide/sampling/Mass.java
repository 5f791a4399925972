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
package dev.moontide.sampling;

/**
 * Probabilities as 64-bit integers: the mass of a logit {@code x} below the row's largest is {@code
 * ⌊2^40 · e^x⌋}. Integer sums do not depend on their order, so any device that computes the same
 * masses draws the same token. A sum over 2^22 tokens stays below 2^62.
 */
final class Mass {
  /** The mass of the largest logit, {@code x = 0}. */
  static final long ONE = 1L << 40;

  /** Below this every mass is 0: {@code e^-28 < 2^-40}. */
  private static final float NEGLIGIBLE = -28f;

  private static final float LOG2_E = 1.442695f;
  // ln 2 in two parts: the first has few bits, so its product with a small integer is exact.
  private static final float LN2_HIGH = 355f / 512f;
  private static final float LN2_LOW = -2.12194440e-4f;

  private Mass() {}

  /**
   * The mass of {@code x ≤ 0}, within a relative 3e-7 above the integer's own grain. Float
   * multiplications and additions alone (Cephes' {@code expf}: e^x = 2^n · e^r with |r| ≤ ln 2 / 2
   * and a polynomial of degree 7), each rounded once, so that the bits are the same everywhere.
   */
  static long of(float x) {
    if (!(x >= NEGLIGIBLE)) {
      return 0;
    }
    int n = (int) (x * LOG2_E - 0.5f);
    float r = x - n * LN2_HIGH - n * LN2_LOW;
    float p = 1.9875691e-4f;
    p = p * r + 1.3981999e-3f;
    p = p * r + 8.333452e-3f;
    p = p * r + 4.1665796e-2f;
    p = p * r + 1.6666666e-1f;
    p = p * r + 0.5f;
    float e = p * (r * r) + r + 1f;
    // 2^(40+n) is a normal double and e has 24 bits, so the product is exact before it is cut.
    return (long) (e * Double.longBitsToDouble((1023L + 40 + n) << 52));
  }
}
