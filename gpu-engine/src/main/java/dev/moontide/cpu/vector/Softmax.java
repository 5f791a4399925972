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

/**
 * The pieces of a softmax over a row that lies in several segments. Segments are multiples of
 * {@link #SUMS} long; masked places hold negative infinity, whose exponential is 0.
 *
 * <p>A row's sum is held in {@link #SUMS} partial sums, element {@code i} of a segment going to sum
 * {@code i mod SUMS}, so its order is the same whatever the vector width.
 */
public final class Softmax {
  /** Partial sums of a row. */
  public static final int SUMS = 16;

  private Softmax() {}

  /** {@code x = exp(x)} of {@code n} numbers from {@code from} on. */
  public static void exponentials(float[] x, int from, int n) {
    Exp.of(x, from, 0f, 1f, x, from, n);
  }

  /** The same rounded to bf16, in {@code x} and, from 0 on, in {@code out}. */
  public static void exponentials(float[] x, int from, short[] out, int n) {
    Exp.of(x, from, 0f, 1f, x, from, n);
    Bf16.fromFloats(x, from, out, 0, n);
    Bf16.toFloats(out, 0, x, from, n);
  }

  /** Adds a segment to partial sums. */
  public static void add(float[] sums, int sumsFrom, float[] x, int from, int n) {
    for (int i = 0; i < n; i += SUMS) {
      for (int j = 0; j < SUMS; j++) {
        sums[sumsFrom + j] += x[from + i + j];
      }
    }
  }

  /** The sum of partial sums, by a fixed tree. */
  public static float total(float[] sums, int at) {
    return ((sums[at] + sums[at + 1]) + (sums[at + 2] + sums[at + 3]))
        + ((sums[at + 4] + sums[at + 5]) + (sums[at + 6] + sums[at + 7]))
        + (((sums[at + 8] + sums[at + 9]) + (sums[at + 10] + sums[at + 11]))
            + ((sums[at + 12] + sums[at + 13]) + (sums[at + 14] + sums[at + 15])));
  }

  /**
   * {@code Σ exp(x − max)} in float64 over {@code n} numbers, in four partial sums. {@code scratch}
   * holds at least 1024 numbers.
   */
  public static double sumOfExponentials(float[] x, int from, int n, float max, float[] scratch) {
    double s0 = 0;
    double s1 = 0;
    double s2 = 0;
    double s3 = 0;
    for (int start = 0; start < n; start += 1024) {
      int count = Math.min(1024, n - start);
      Exp.of(x, from + start, max, 1f, scratch, 0, count);
      int i = 0;
      for (; i <= count - 4; i += 4) {
        s0 += scratch[i];
        s1 += scratch[i + 1];
        s2 += scratch[i + 2];
        s3 += scratch[i + 3];
      }
      for (; i < count; i++) {
        s0 += scratch[i];
      }
    }
    return (s0 + s1) + (s2 + s3);
  }
}
