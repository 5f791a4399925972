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
 *
 * <p>{@code e^x} is Cephes' {@code expf}: {@code 2^n · e^r} with {@code n = ⌈x / ln 2 − 0.5⌉}, so
 * {@code |r| ≤ ln 2 / 2}, and a polynomial of degree 7; within a relative 3e-7. Float
 * multiplications and additions alone, each rounded once, so that the bits are the same everywhere.
 *
 * <p>A row is computed a block at a time, in loops so plain that the JIT makes vectors of them.
 * Holds the block; used by one thread at a time.
 */
final class Mass {
  /** The mass of the largest logit, {@code x = 0}. */
  static final long ONE = 1L << 40;

  private static final int BLOCK = 512;

  /** Below this every mass is 0: {@code e^-28 < 2^-40}. */
  private static final float NEGLIGIBLE = -28f;

  private static final float LOG2_E = 1.442695f;
  // ln 2 in two parts: the first has few bits, so its product with a small integer is exact.
  private static final float LN2_HIGH = 355f / 512f;
  private static final float LN2_LOW = -2.12194440e-4f;

  /** Added to a small number, leaves it rounded to an integer in the last bits of the sum. */
  private static final float ROUNDING = 0x1.8p23f;

  /** From such a sum's bits to the exponent of 2^(40+n) as a double. */
  private static final long EXPONENT = 1023L + 40 - Float.floatToRawIntBits(ROUNDING);

  private final float[] x = new float[BLOCK];
  private final float[] n = new float[BLOCK];
  private final float[] e = new float[BLOCK];

  /** The masses of the logits from {@code from} on, whose largest is finite, over a temperature. */
  void of(float[] logits, int from, float largest, float inverseTemperature, long[] masses) {
    for (int start = 0; start < masses.length; start += BLOCK) {
      int count = Math.min(BLOCK, masses.length - start);
      // Copied first: at an offset of its own an array stops the JIT from making vectors.
      System.arraycopy(logits, from + start, x, 0, count);
      scale(x, largest, inverseTemperature, count);
      exponents(x, n, count);
      exponentials(x, n, e, count);
      cut(e, n, masses, start, count);
    }
  }

  private static void scale(float[] x, float largest, float inverseTemperature, int count) {
    for (int i = 0; i < count; i++) {
      x[i] = Math.max((x[i] - largest) * inverseTemperature, NEGLIGIBLE);
    }
  }

  /** {@code n}: rounded to the nearest integer, and 1 more where that was below. */
  private static void exponents(float[] x, float[] n, int count) {
    for (int i = 0; i < count; i++) {
      float exact = x[i] * LOG2_E - 0.5f;
      float nearest = (exact + ROUNDING) - ROUNDING;
      // A difference is at least the grain of numbers from 0.5 on, 2^-24.
      n[i] = nearest + Math.min(Math.max(exact - nearest, 0f) * 0x1p24f, 1f);
    }
  }

  private static void exponentials(float[] x, float[] n, float[] e, int count) {
    for (int i = 0; i < count; i++) {
      float r = x[i] - n[i] * LN2_HIGH - n[i] * LN2_LOW;
      float p = 1.9875691e-4f;
      p = p * r + 1.3981999e-3f;
      p = p * r + 8.333452e-3f;
      p = p * r + 4.1665796e-2f;
      p = p * r + 1.6666666e-1f;
      p = p * r + 0.5f;
      e[i] = p * (r * r) + r + 1f;
    }
  }

  /** 2^(40+n) is a normal double and e has 24 bits, so the product is exact before it is cut. */
  private static void cut(float[] e, float[] n, long[] masses, int start, int count) {
    for (int i = 0; i < count; i++) {
      long exponent = Float.floatToRawIntBits(n[i] + ROUNDING) + EXPONENT;
      masses[start + i] = (long) (e[i] * Double.longBitsToDouble(exponent << 52));
    }
  }
}
