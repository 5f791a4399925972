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

import dev.moontide.api.SamplingParameters;
import dev.moontide.api.TokenIds;

/**
 * Draws a token from a row of logits. The order is vLLM's: penalties, temperature, min-p, top-k,
 * top-p (over what top-k left), then the inverse of the distribution in the vocabulary's order at a
 * counter-based random number. Holds its workspace; used by one thread at a time.
 *
 * <p>Everything after the division by the temperature is integer arithmetic on {@link Mass}, so the
 * same logits give the same token on any device.
 */
public final class Sampler {
  private final float[] logits;
  private final long[] masses;
  private final MassSelection selection;
  private final Penalties penalties;
  private final Philox philox = new Philox();

  public Sampler(int vocabularySize) {
    logits = new float[vocabularySize];
    masses = new long[vocabularySize];
    selection = new MassSelection(masses);
    penalties = new Penalties(vocabularySize);
  }

  /** Where the next row's logits are put; {@link #sample} changes them. */
  public float[] logits() {
    return logits;
  }

  /** Whether {@link #logits()} can be drawn from: nothing is NaN or +∞ and something is finite. */
  public boolean isDrawable() {
    float largest = largest();
    return largest > Float.NEGATIVE_INFINITY && largest < Float.POSITIVE_INFINITY;
  }

  /**
   * The next token of a sample by {@link #logits()}, which must be drawable.
   *
   * @param output tokens generated so far, of which {@code length} count
   * @param rowKey identifies the row to the random numbers
   * @param sampleIndex which of the row's samples this is
   */
  public int sample(
      SamplingParameters parameters,
      TokenIds prompt,
      int[] output,
      int length,
      long rowKey,
      int sampleIndex) {
    if (parameters.hasPenalties()) {
      penalties.apply(logits, parameters, prompt, output, length);
    }
    if (parameters.isGreedy()) {
      return firstOf(largest());
    }
    weigh(largest(), (float) Math.min(1 / parameters.temperature(), Float.MAX_VALUE));
    long least = Math.max(1, (long) Math.ceil(parameters.minP() * Mass.ONE));
    selection.select(least, parameters.topK(), parameters.topP());
    long bits = philox.bits(parameters.seed(), rowKey, sampleIndex, prompt.length() + length);
    // ⌊u · total⌋ for the 63-bit fraction u: the total is below 2^62, so its double fits a long.
    return selection.locate(Math.multiplyHigh(bits >>> 1, selection.total() << 1));
  }

  private void weigh(float largest, float inverseTemperature) {
    for (int i = 0; i < masses.length; i++) {
      masses[i] = Mass.of((logits[i] - largest) * inverseTemperature);
    }
  }

  /** The largest logit; NaN if any is. */
  private float largest() {
    float largest = Float.NEGATIVE_INFINITY;
    for (float logit : logits) {
      largest = Math.max(largest, logit);
    }
    return largest;
  }

  private int firstOf(float value) {
    int i = 0;
    while (logits[i] != value) {
      i++;
    }
    return i;
  }
}
