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

import dev.moontide.api.SamplingParameters;
import dev.moontide.api.TokenIds;
import dev.moontide.sampling.SeenTokens;
import java.util.Arrays;
import java.util.Random;

/**
 * Draws with random parameters and masks from random rows of logits: spread and crowded ones, ties,
 * -∞, some that cannot be drawn from.
 */
public final class RandomDraws {
  /** More than a device takes at once. */
  private static final int MASKS = 150;

  private final int width;
  private final int rows;
  private final float[] logits;

  public RandomDraws(int width, int rows) {
    this.width = width;
    this.rows = rows;
    logits = new float[rows * width];
    Random random = new Random(width);
    for (int row = 0; row < rows; row++) {
      fill(random, row * width);
    }
  }

  private void fill(Random random, int from) {
    // A coarse grid makes many equal logits.
    float grid = random.nextBoolean() ? 1e-4f : 0.5f;
    float spread = random.nextInt(3) == 0 ? 0.01f : 5;
    for (int i = from; i < from + width; i++) {
      logits[i] = Math.round(random.nextGaussian() * spread / grid) * grid;
    }
    int at = from + random.nextInt(width);
    switch (random.nextInt(12)) {
      case 0 -> Arrays.fill(logits, from, from + width, 1.5f);
      case 1 -> Arrays.fill(logits, from, at, Float.NEGATIVE_INFINITY);
      case 2 -> Arrays.fill(logits, from, from + width, Float.NEGATIVE_INFINITY);
      case 3 -> logits[at] = Float.NaN;
      case 4 -> logits[at] = Float.POSITIVE_INFINITY;
      case 5 -> logits[at] = 1e30f;
      case 6 -> logits[at] = -Float.MAX_VALUE;
      default -> {}
    }
  }

  /** All rows; drawing from them may change them. */
  public float[] logits() {
    return logits;
  }

  /** Of all tokens, of none, of one, sparse and dense ones. */
  private TokenMask[] masks(Random random) {
    TokenMask[] masks = new TokenMask[MASKS];
    for (int m = 0; m < MASKS; m++) {
      long[] words = new long[TokenMask.words(width)];
      switch (m % 5) {
        case 0 -> Arrays.fill(words, -1);
        case 1 -> words[random.nextInt(words.length)] = 1L << random.nextInt(Math.min(64, width));
        case 2 -> Arrays.setAll(words, i -> 1L << random.nextInt(64));
        case 3 -> Arrays.setAll(words, i -> ~(1L << random.nextInt(64)));
        default -> {}
      }
      masks[m] = TokenMask.of(width, words);
    }
    return masks;
  }

  /** A draw from each row in a shuffled order, the same ones at each call. */
  public LogitQueries queries() {
    Random random = new Random(rows + width);
    SeenTokens seen = new SeenTokens(width);
    TokenMask[] masks = masks(random);
    LogitQueries queries = new LogitQueries();
    for (int i = 0; i < rows; i++) {
      SamplingParameters parameters = parameters(random);
      int length = random.nextInt(12);
      queries.draw(
          (7 * i + 3) % rows, parameters, random.nextLong(), random.nextInt(3), 20 + length);
      if (parameters.hasPenalties()) {
        TokenIds prompt = TokenIds.of(random.ints(20, 0, width).toArray());
        int[] output = random.ints(12, 0, width).toArray();
        seen.list(
            queries, parameters.repetitionPenalty() == 1 ? TokenIds.of() : prompt, output, length);
      }
      if (random.nextInt(10) > 0) {
        queries.allow(masks[i % MASKS]);
      }
    }
    return queries;
  }

  private SamplingParameters parameters(Random random) {
    double[] temperatures = {0, 1e-300, 0.01, 0.7, 1, 1 + random.nextDouble(), 100};
    return SamplingParameters.builder()
        .temperature(temperatures[random.nextInt(temperatures.length)])
        .topK(random.nextBoolean() ? 0 : 1 + random.nextInt(width + 3))
        .topP(random.nextBoolean() ? 1 : 1 - random.nextDouble() * random.nextDouble())
        .minP(random.nextInt(3) > 0 ? 0 : random.nextDouble() * random.nextDouble())
        .presencePenalty(random.nextInt(3) > 0 ? 0 : 4 * random.nextDouble() - 2)
        .frequencyPenalty(random.nextInt(3) > 0 ? 0 : 4 * random.nextDouble() - 2)
        .repetitionPenalty(random.nextInt(3) > 0 ? 1 : 0.1 + 2 * random.nextDouble())
        .seed(random.nextLong())
        .build();
  }
}
