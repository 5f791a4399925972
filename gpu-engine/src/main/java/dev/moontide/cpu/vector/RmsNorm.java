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

/** Root mean square normalisation (arXiv 1910.07467) of one row. */
public final class RmsNorm {
  private RmsNorm() {}

  /** {@code out = x / √(mean(x²) + epsilon) · gain} over {@code n} numbers. */
  public static void normalise(
      float[] x, int xFrom, float[] gain, float epsilon, float[] out, int outFrom, int n) {
    float scale = 1f / (float) Math.sqrt(sumOfSquares(x, xFrom, n) / n + epsilon);
    for (int i = 0; i < n; i++) {
      out[outFrom + i] = x[xFrom + i] * scale * gain[i];
    }
  }

  /** Eight partial sums, element {@code i} going to sum {@code i mod 8}, then a fixed tree. */
  static float sumOfSquares(float[] x, int from, int n) {
    float s0 = 0f;
    float s1 = 0f;
    float s2 = 0f;
    float s3 = 0f;
    float s4 = 0f;
    float s5 = 0f;
    float s6 = 0f;
    float s7 = 0f;
    int end = from + n;
    int i = from;
    for (; i <= end - 8; i += 8) {
      s0 = Math.fma(x[i], x[i], s0);
      s1 = Math.fma(x[i + 1], x[i + 1], s1);
      s2 = Math.fma(x[i + 2], x[i + 2], s2);
      s3 = Math.fma(x[i + 3], x[i + 3], s3);
      s4 = Math.fma(x[i + 4], x[i + 4], s4);
      s5 = Math.fma(x[i + 5], x[i + 5], s5);
      s6 = Math.fma(x[i + 6], x[i + 6], s6);
      s7 = Math.fma(x[i + 7], x[i + 7], s7);
    }
    float tail = 0f;
    for (; i < end; i++) {
      tail = Math.fma(x[i], x[i], tail);
    }
    return ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7)) + tail;
  }
}
