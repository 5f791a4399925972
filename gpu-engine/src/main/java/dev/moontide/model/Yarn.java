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
package dev.moontide.model;

/**
 * Yarn's extension of the rotary embedding to longer texts (arXiv 2309.00071; {@code rope_scaling}
 * of type {@code yarn}, as DeepSeek-V3 computes it).
 *
 * @param factor how many times longer, at least 1
 * @param originalMaxPositionEmbeddings positions the model was trained on before
 * @param betaFast rotations over those positions from which a pair keeps its frequency
 * @param betaSlow rotations below which a pair's frequency is divided by {@code factor}
 * @param mscale of cos and sin, numerator
 * @param mscaleAllDim of cos and sin, denominator, and of the softmax scale
 */
public record Yarn(
    double factor,
    int originalMaxPositionEmbeddings,
    double betaFast,
    double betaSlow,
    double mscale,
    double mscaleAllDim) {
  /** Scale of cos and sin. */
  public double attentionFactor() {
    return magnitude(mscale) / magnitude(mscaleAllDim);
  }

  /** What the softmax scale is multiplied by. */
  public double softmaxFactor() {
    double magnitude = magnitude(mscaleAllDim);
    return magnitude * magnitude;
  }

  /** {@code m(factor, k) = 0.1 · k · ln factor + 1}. */
  private double magnitude(double k) {
    return 0.1 * k * Math.log(factor) + 1;
  }

  /**
   * Scales the radians per position of each pair of a rope slice: pairs that rotate often keep
   * theirs, slow ones are interpolated, those between are blended linearly.
   */
  void scale(double[] inverseFrequency, double theta) {
    int dimension = 2 * inverseFrequency.length;
    double low = Math.max(0, Math.floor(correction(betaFast, dimension, theta)));
    double high = Math.min(dimension - 1, Math.ceil(correction(betaSlow, dimension, theta)));
    if (low == high) {
      high += 0.001;
    }
    for (int i = 0; i < inverseFrequency.length; i++) {
      double ramp = Math.min(1, Math.max(0, (i - low) / (high - low)));
      double interpolated = inverseFrequency[i] / factor;
      inverseFrequency[i] = interpolated * ramp + inverseFrequency[i] * (1 - ramp);
    }
  }

  /** The pair, as a fraction, that rotates {@code rotations} times over the original positions. */
  private double correction(double rotations, int dimension, double theta) {
    return dimension
        * Math.log(originalMaxPositionEmbeddings / (rotations * 2 * Math.PI))
        / (2 * Math.log(theta));
  }
}
