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
package dev.moontide.tensor;

/**
 * Rotary position embedding with optional yarn scaling (arXiv 2309.00071), the angles computed in
 * float64. Pairs are interleaved: elements {@code 2i} and {@code 2i + 1} of the rope slice rotate
 * together by {@code position · inverseFrequency(i)}; cos and sin are then multiplied by {@link
 * #attentionFactor()}.
 */
public final class Rope {
  private final double[] inverseFrequency;
  private final double attentionFactor;

  /**
   * @param inverseFrequency radians per position of each pair, {@code qk_rope_head_dim / 2} long
   * @param attentionFactor scale of cos and sin (1 without yarn)
   */
  public Rope(double[] inverseFrequency, double attentionFactor) {
    this.inverseFrequency = inverseFrequency.clone();
    this.attentionFactor = attentionFactor;
  }

  /** Width of the rope slice, {@code qk_rope_head_dim}. */
  public int dimension() {
    return 2 * inverseFrequency.length;
  }

  /** Radians per position of pair {@code i}. */
  public double inverseFrequency(int i) {
    return inverseFrequency[i];
  }

  /** Scale of cos and sin. */
  public double attentionFactor() {
    return attentionFactor;
  }

  /**
   * Writes the rotation of {@code position}, rounded to float32, into {@code out} from {@code
   * offset}: the scaled cosine and sine of each pair, side by side.
   */
  public void rotation(int position, float[] out, int offset) {
    for (int i = 0; i < inverseFrequency.length; i++) {
      double angle = position * inverseFrequency[i];
      out[offset + 2 * i] = (float) (Math.cos(angle) * attentionFactor);
      out[offset + 2 * i + 1] = (float) (Math.sin(angle) * attentionFactor);
    }
  }
}
