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

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.api.SamplingParameters;
import dev.moontide.api.TokenIds;
import dev.moontide.tensor.LogitQueries;
import dev.moontide.tensor.TokenMask;
import java.math.BigInteger;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class SamplerTest {
  private static final TokenIds PROMPT = TokenIds.of(0, 1, 1);

  private static SamplingParameters.Builder at(double temperature) {
    return SamplingParameters.builder().temperature(temperature);
  }

  private static int sample(Sampler sampler, SamplingParameters parameters, float[] logits) {
    return sample(sampler, parameters, logits, new int[0], 7, 0);
  }

  private static int sample(
      Sampler sampler,
      SamplingParameters parameters,
      float[] logits,
      int[] output,
      long rowKey,
      int sampleIndex) {
    LogitQueries queries = queries(parameters, logits.length, output, rowKey, sampleIndex);
    sampler.draw(queries, 0, logits.clone(), 0);
    assertTrue(queries.draw(0).isAnswered());
    return queries.draw(0).token();
  }

  private static LogitQueries queries(
      SamplingParameters parameters,
      int vocabularySize,
      int[] output,
      long rowKey,
      int sampleIndex) {
    LogitQueries queries = new LogitQueries();
    queries.draw(0, parameters, rowKey, sampleIndex, PROMPT.length() + output.length);
    if (parameters.hasPenalties()) {
      new SeenTokens(vocabularySize).list(queries, PROMPT, output, output.length);
    }
    return queries;
  }

  @Test
  void massesAreExponentials() {
    assertEquals(Mass.ONE, mass(0));
    for (float x = 0; x > -27; x -= 0.0137f) {
      double expected = Math.exp(x) * Mass.ONE;
      assertEquals(expected, (double) mass(x), 3e-7 * expected + 1, "e^" + x);
    }
    assertEquals(0, mass(-28.5f));
    assertEquals(0, mass(Float.NEGATIVE_INFINITY));
  }

  /** One mass as it is defined, operation by operation; {@code sampling.cu} has the same. */
  private static long mass(float x) {
    if (!(x >= -28f)) {
      return 0;
    }
    int n = (int) (x * 1.442695f - 0.5f);
    float r = x - n * (355f / 512f) - n * -2.12194440e-4f;
    float p = 1.9875691e-4f;
    p = p * r + 1.3981999e-3f;
    p = p * r + 8.333452e-3f;
    p = p * r + 4.1665796e-2f;
    p = p * r + 1.6666666e-1f;
    p = p * r + 0.5f;
    float e = p * (r * r) + r + 1f;
    return (long) (e * Math.scalb(1d, 40 + n));
  }

  /** Every 307th float of those up to 0, and all next to a change of the exponent. */
  @Test
  void massesOfRowsAreThoseOfTheirLogits() {
    int zero = Float.floatToRawIntBits(-0f);
    int infinite = Float.floatToRawIntBits(Float.NEGATIVE_INFINITY);
    float[] logits = new float[100_003];
    int next = zero;
    while (next <= infinite) {
      for (int i = 0; i < logits.length; i++, next += 307) {
        logits[i] = Float.intBitsToFloat(Math.min(next, infinite));
      }
      assertMasses(logits);
    }
    for (int n = 0; n < 41; n++) {
      int border = Float.floatToRawIntBits((float) (-(n + 0.5) * Math.log(2)));
      for (int i = 0; i < 4000; i++) {
        logits[4000 * (n % 25) + i] = Float.intBitsToFloat(border - 2000 + i);
      }
      assertMasses(logits);
    }
  }

  private static void assertMasses(float[] logits) {
    long[] masses = masses(logits, 0, 1);
    for (int i = 0; i < logits.length; i++) {
      long expected = mass(logits[i]);
      if (masses[i] != expected) {
        assertEquals(expected, masses[i], "e^" + logits[i]);
      }
    }
  }

  /** The masses of a row between others. */
  private static long[] masses(float[] logits, float largest, float inverseTemperature) {
    float[] rows = new float[logits.length + 3];
    Arrays.fill(rows, Float.NaN);
    System.arraycopy(logits, 0, rows, 2, logits.length);
    long[] masses = new long[logits.length];
    new Mass().of(rows, 2, largest, inverseTemperature, masses);
    return masses;
  }

  @Test
  void greedyTakesTheFirstOfEquals() {
    Sampler sampler = new Sampler(5);
    assertEquals(1, sample(sampler, SamplingParameters.greedy(1), new float[] {0, 3, 2, 3, 1}));
    assertEquals(0, sample(sampler, SamplingParameters.greedy(1), new float[5]));
  }

  /**
   * Sorts, cuts and sums in the plainest way, with big integers for the draw; every random row and
   * combination of parameters must give the same token.
   */
  @Test
  void equalsBruteForce() {
    Random random = new Random(1);
    for (int trial = 0; trial < 20_000; trial++) {
      int n = 1 + random.nextInt(30);
      float[] logits = new float[n];
      // A coarse grid makes many equal logits.
      float grid = random.nextBoolean() ? 1e-4f : 0.5f;
      for (int i = 0; i < n; i++) {
        logits[i] = Math.round(random.nextGaussian() * 4 / grid) * grid;
      }
      SamplingParameters parameters =
          at(random.nextBoolean() ? 1 : 0.05 + 3 * random.nextDouble())
              .topK(random.nextBoolean() ? 0 : 1 + random.nextInt(n + 3))
              .topP(random.nextBoolean() ? 1 : 1 - random.nextDouble() * random.nextDouble())
              .minP(random.nextBoolean() ? 0 : random.nextDouble())
              .seed(random.nextLong())
              .build();
      int token = sample(new Sampler(n), parameters, logits);
      assertEquals(bruteForce(parameters, logits), token, parameters::toString);

      TokenMask mask = TokenMask.of(n, 1L << random.nextInt(n) | random.nextLong());
      token = masked(parameters, mask, logits).token();
      int[] allowed = IntStream.range(0, n).filter(mask::allows).toArray();
      float[] left = new float[allowed.length];
      for (int i = 0; i < left.length; i++) {
        left[i] = logits[allowed[i]];
      }
      assertEquals(allowed[bruteForce(parameters, left)], token, parameters::toString);
    }
  }

  /** Draws by {@code mask} from a row between others, which stay as they are. */
  private static LogitQueries.Draw masked(
      SamplingParameters parameters, TokenMask mask, float... logits) {
    int n = logits.length;
    float[] rows = new float[3 * n];
    Arrays.fill(rows, Float.NaN);
    System.arraycopy(logits, 0, rows, n, n);
    LogitQueries queries = queries(parameters, n, new int[0], 7, 0);
    queries.allow(mask);
    new Sampler(n).draw(queries, 0, rows, n);
    for (int i = 0; i < n; i++) {
      assertTrue(Float.isNaN(rows[i]) && Float.isNaN(rows[2 * n + i]));
    }
    return queries.draw(0);
  }

  private static int bruteForce(SamplingParameters parameters, float[] logits) {
    double largest =
        IntStream.range(0, logits.length).mapToDouble(i -> logits[i]).max().orElseThrow();
    long[] mass = new long[logits.length];
    for (int i = 0; i < logits.length; i++) {
      mass[i] = mass((logits[i] - (float) largest) * (float) (1 / parameters.temperature()));
    }
    List<Integer> kept =
        IntStream.range(0, logits.length)
            .filter(i -> mass[i] > 0 && mass[i] >= parameters.minP() * Mass.ONE)
            .boxed()
            .sorted(Comparator.comparingLong((Integer i) -> -mass[i]))
            .toList();
    if (parameters.topK() > 0 && parameters.topK() < kept.size()) {
      kept = kept.subList(0, parameters.topK());
    }
    if (parameters.topP() < 1) {
      double all = kept.stream().mapToLong(i -> mass[i]).sum();
      long sum = 0;
      int count = 0;
      while (sum < parameters.topP() * all) {
        sum += mass[kept.get(count++)];
      }
      kept = kept.subList(0, count);
    }
    long total = kept.stream().mapToLong(i -> mass[i]).sum();
    long bits = new Philox().bits(parameters.seed(), 7, 0, PROMPT.length()) >>> 1;
    BigInteger target = BigInteger.valueOf(bits).multiply(BigInteger.valueOf(total)).shiftRight(63);
    long left = target.longValueExact();
    for (int i : kept.stream().sorted().toList()) {
      if (left < mass[i]) {
        return i;
      }
      left -= mass[i];
    }
    throw new AssertionError("no token");
  }

  /** Over equally spaced random numbers each token's share is its softmax to within one of them. */
  @Test
  void sharesAreTheSoftmax() {
    Random random = new Random(2);
    float[] logits = new float[50];
    double sum = 0;
    for (int i = 0; i < logits.length; i++) {
      logits[i] = (float) (2 * random.nextGaussian());
      sum += Math.exp(logits[i] / 0.7);
    }
    float largest = (float) IntStream.range(0, 50).mapToDouble(i -> logits[i]).max().orElseThrow();
    long[] masses = masses(logits, largest, (float) (1 / 0.7));
    MassSelection selection = new MassSelection(masses);
    selection.select(1, 0, 1);
    int draws = 100_000;
    int[] counts = new int[logits.length];
    for (int i = 0; i < draws; i++) {
      counts[selection.locate((long) ((i + 0.5) / draws * selection.total()))]++;
    }
    for (int i = 0; i < counts.length; i++) {
      assertEquals(Math.exp(logits[i] / 0.7) / sum * draws, counts[i], 1.1);
    }
  }

  @Test
  void drawsDependOnRowSampleAndPositionAlone() {
    float[] logits = new float[1000];
    Sampler sampler = new Sampler(1000);
    SamplingParameters parameters = at(1).seed(5).build();
    int[] drawn = new int[4];
    long[][] keys = {{1, 0, 0}, {2, 0, 0}, {1, 1, 0}, {1, 0, 3}};
    for (int repeat = 0; repeat < 2; repeat++) {
      for (int i = 0; i < keys.length; i++) {
        int[] output = new int[(int) keys[i][2]];
        int token = sample(sampler, parameters, logits, output, keys[i][0], (int) keys[i][1]);
        assertTrue(repeat == 0 || drawn[i] == token);
        drawn[i] = token;
      }
    }
    assertEquals(4, Arrays.stream(drawn).distinct().count());
  }

  @Test
  void penaltiesFollowTheirDefinitions() {
    SamplingParameters parameters =
        SamplingParameters.builder()
            .repetitionPenalty(2)
            .frequencyPenalty(0.25)
            .presencePenalty(0.5)
            .build();
    int[] output = {2, 3, 2, 2};
    SeenTokens seen = new SeenTokens(5);
    for (int repeat = 0; repeat < 2; repeat++) {
      LogitQueries queries = new LogitQueries();
      queries.draw(0, parameters, 0, 0, 7);
      seen.list(queries, PROMPT, output, 4);
      assertEquals(4, queries.seen());
      float[] logits = {4, -4, 4, -4, 4};
      new Sampler(5).draw(queries, 0, logits, 0);
      // In the prompt: 0 and 1. In the output: 2 three times, 3 once.
      float[] expected = {2, -8, 2 - 0.5f - 3 * 0.25f, -8 - 0.5f - 0.25f, 4};
      assertEquals(Arrays.toString(expected), Arrays.toString(logits));
    }
  }

  @Test
  void greedyHeedsPenalties() {
    SamplingParameters parameters = SamplingParameters.builder().presencePenalty(0.2).build();
    float[] logits = {3, 2.9f, 1};
    assertEquals(1, sample(new Sampler(3), parameters, logits, new int[] {0}, 0, 0));
  }

  @Test
  void tokensThatAreNotAllowedHaveNoMass() {
    float[] logits = {9, 2, 3, 3, 0};
    for (SamplingParameters parameters : List.of(at(0).build(), at(1).topK(1).build())) {
      assertEquals(2, masked(parameters, TokenMask.of(5, 0b11110), logits).token());
      assertEquals(4, masked(parameters, TokenMask.of(5, 0b10000), logits).token());
      // Bits beyond the vocabulary allow nothing.
      assertFalse(masked(parameters, TokenMask.of(5, 0b1100000), logits).isAnswered());
      // What is not allowed does not show, and what is allowed must be there to draw.
      float[] damaged = {Float.NaN, Float.POSITIVE_INFINITY, 1, Float.NEGATIVE_INFINITY, 0};
      assertEquals(2, masked(parameters, TokenMask.of(5, 0b11100), damaged).token());
      assertFalse(masked(parameters, TokenMask.of(5, 0b11101), damaged).isAnswered());
      assertFalse(masked(parameters, TokenMask.of(5, 0b01000), damaged).isAnswered());
    }
  }

  /** A penalty that makes a token the best of the allowed, and one that makes it the worst. */
  @Test
  void allowedTokensArePenalisedFirst() {
    SamplingParameters parameters = SamplingParameters.builder().presencePenalty(1).build();
    LogitQueries queries = queries(parameters, 4, new int[] {2}, 0, 0);
    queries.allow(TokenMask.of(4, 0b1100));
    float[] logits = {5, 4, 3, 2.5f};
    new Sampler(4).draw(queries, 0, logits, 0);
    assertEquals(3, queries.draw(0).token());
  }

  @Test
  void drawsShareAMaskByIdentity() {
    TokenMask mask = TokenMask.of(3, 7);
    TokenMask other = TokenMask.of(3, 7);
    LogitQueries queries = new LogitQueries();
    TokenMask[] given = {mask, other, mask};
    for (TokenMask one : given) {
      queries.draw(0, at(1).build(), 0, 0, 0);
      queries.allow(one);
    }
    queries.draw(0, at(1).build(), 0, 0, 0);
    assertEquals(2, queries.masks());
    assertEquals(0, queries.draw(2).maskIndex());
    assertEquals(null, queries.draw(3).mask());
    queries.clear();
    assertEquals(0, queries.masks());
  }

  private static boolean isDrawable(SamplingParameters parameters, float... logits) {
    LogitQueries queries = queries(parameters, logits.length, new int[] {0}, 0, 0);
    new Sampler(logits.length).draw(queries, 0, logits, 0);
    return queries.draw(0).isAnswered();
  }

  @Test
  void infinitiesAndNaNAreNotDrawable() {
    float infinity = Float.POSITIVE_INFINITY;
    for (SamplingParameters parameters : List.of(at(0).build(), at(1).topK(1).build())) {
      assertTrue(isDrawable(parameters, 0, 0, 0));
      assertTrue(isDrawable(parameters, 0, -infinity, 0));
      assertFalse(isDrawable(parameters, 0, Float.NaN, 1));
      assertFalse(isDrawable(parameters, 0, infinity, 0));
      assertFalse(isDrawable(parameters, -infinity, -infinity, -infinity));
    }
    // A penalty that takes a logit out of its range.
    assertFalse(isDrawable(at(1).repetitionPenalty(1e-39).build(), 10, 0, 0));
    assertEquals(0, sample(new Sampler(3), at(1).topK(1).build(), new float[] {1, -infinity, 0}));
  }

  @Test
  void extremeTemperatures() {
    float[] logits = {1, 5, 4.999f, -80};
    assertEquals(1, sample(new Sampler(4), at(1e-300).build(), logits));
    assertEquals(1, sample(new Sampler(4), at(1e-6).build(), logits));
    int[] counts = new int[4];
    for (int seed = 0; seed < 400; seed++) {
      counts[sample(new Sampler(4), at(100).seed(seed).build(), logits)]++;
    }
    assertTrue(Arrays.stream(counts).allMatch(c -> c > 20), Arrays.toString(counts));
  }

  @Test
  void aKimiVocabularyOfEqualLogits() {
    Sampler sampler = new Sampler(163_840);
    SamplingParameters parameters = at(1).topK(100_000).topP(0.5).build();
    int token = sample(sampler, parameters, new float[163_840]);
    assertTrue(token < 50_000, "token " + token);
  }
}
