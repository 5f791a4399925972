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
import dev.moontide.tensor.LogitQueries;
import dev.moontide.tensor.LogitQueries.Draw;
import dev.moontide.tensor.TokenMask;

/**
 * Draws a token from a row of logits. The order is vLLM's: penalties, mask, temperature, min-p,
 * top-k, top-p (over what top-k left), then the inverse of the distribution in the vocabulary's
 * order at a counter-based random number. Holds its workspace; used by one thread at a time.
 *
 * <p>Floats and doubles are rounded once an operation, and everything after the {@link Mass}es is
 * integer arithmetic, so the same logits give the same token on any device: {@code sampling.cu}
 * draws as this does, and is held to it.
 */
public final class Sampler {
  private final long[] masses;
  private final Mass mass = new Mass();
  private final MassSelection selection;
  private final Philox philox = new Philox();

  public Sampler(int vocabularySize) {
    masses = new long[vocabularySize];
    selection = new MassSelection(masses);
  }

  /** Logits of a row. */
  public int vocabularySize() {
    return masses.length;
  }

  /**
   * Answers the {@code i}-th draw of {@code queries} by the row of logits that begins at {@code
   * from}, which penalties and mask change. Leaves it without an answer if it cannot be drawn from.
   */
  public void draw(LogitQueries queries, int i, float[] logits, int from) {
    Draw draw = queries.draw(i);
    penalise(queries, draw, logits, from);
    if (draw.mask() != null) {
      mask(draw.mask(), logits, from);
    }
    float largest = largest(logits, from);
    if (largest > Float.NEGATIVE_INFINITY && largest < Float.POSITIVE_INFINITY) {
      draw.answer(
          draw.parameters().isGreedy()
              ? firstOf(largest, logits, from)
              : sample(draw, largest, logits, from));
    }
  }

  /**
   * First the repetition penalty (prompt and output; positive logits divided, others multiplied),
   * then frequency and presence (output).
   */
  private static void penalise(LogitQueries queries, Draw draw, float[] logits, int from) {
    SamplingParameters parameters = draw.parameters();
    double repetition = parameters.repetitionPenalty();
    for (int s = draw.seenStart(); s < draw.seenEnd(); s++) {
      int at = from + queries.seenToken(s);
      int occurrences = queries.seenOccurrences(s);
      double logit = logits[at];
      logit = logit > 0 ? logit / repetition : logit * repetition;
      if (occurrences > 0) {
        logit -= parameters.frequencyPenalty() * occurrences + parameters.presencePenalty();
      }
      logits[at] = (float) logit;
    }
  }

  /** Tokens that are not allowed get -∞, whatever they had. */
  private void mask(TokenMask mask, float[] logits, int from) {
    if (mask.size() != masses.length) {
      throw new IllegalArgumentException(
          "a mask of %d tokens for %d logits".formatted(mask.size(), masses.length));
    }
    for (int t = 0; t < masses.length; t++) {
      if (!mask.allows(t)) {
        logits[from + t] = Float.NEGATIVE_INFINITY;
      }
    }
  }

  private int sample(Draw draw, float largest, float[] logits, int from) {
    SamplingParameters parameters = draw.parameters();
    float inverseTemperature = (float) Math.min(1 / parameters.temperature(), Float.MAX_VALUE);
    mass.of(logits, from, largest, inverseTemperature, masses);
    long least = Math.max(1, (long) Math.ceil(parameters.minP() * Mass.ONE));
    selection.select(least, parameters.topK(), parameters.topP());
    long bits = philox.bits(parameters.seed(), draw.rowKey(), draw.sampleIndex(), draw.position());
    // ⌊u · total⌋ for the 63-bit fraction u: the total is below 2^62, so its double fits a long.
    return selection.locate(Math.multiplyHigh(bits >>> 1, selection.total() << 1));
  }

  /** The largest logit; NaN if any is. */
  private float largest(float[] logits, int from) {
    float largest = Float.NEGATIVE_INFINITY;
    for (int t = 0; t < masses.length; t++) {
      float logit = logits[from + t];
      if (!(logit <= largest)) {
        if (Float.isNaN(logit)) {
          return logit;
        }
        largest = logit;
      }
    }
    return largest;
  }

  private static int firstOf(float value, float[] logits, int from) {
    int i = from;
    while (logits[i] != value) {
      i++;
    }
    return i - from;
  }
}
