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
package dev.moontide.cuda;

import dev.moontide.api.SamplingParameters;
import dev.moontide.sampling.Sampler;
import dev.moontide.tensor.LogitQueries;
import dev.moontide.tensor.Ops;
import dev.moontide.tensor.Tensor;
import dev.moontide.tensor.TokenMask;
import java.util.Arrays;
import java.util.Locale;
import java.util.Random;
import java.util.stream.Stream;

/**
 * Tokens drawn from rows of Kimi-K2's vocabulary on this machine's GPU: whether they are those that
 * the host draws, and how long they take.
 */
public final class DeviceDraws {
  private static final int VOCABULARY = 163_840;
  private static final int DISTINCT = 16;
  private static final int COMPARED = 256;
  private static final int REPEATS = 9;

  /** As many as any of the timings, each of about half the vocabulary. */
  private static final TokenMask[] MASKS = masks(1024);

  private final Ops ops;
  private final CudaBackend backend;
  private final float[][] rows = new float[DISTINCT][VOCABULARY];

  private DeviceDraws(CudaBackend backend, Ops ops) {
    this.backend = backend;
    this.ops = ops;
    Random random = new Random(1);
    for (int r = 0; r < DISTINCT; r++) {
      // From flat to peaked, as a model's: most of a vocabulary far below a few tokens.
      double spread = 1 + r / 4.0;
      for (int i = 0; i < VOCABULARY; i++) {
        rows[r][i] = (float) (spread * random.nextGaussian());
      }
    }
  }

  public static void main(String[] arguments) {
    System.setProperty("moontide.test.gpu", "true");
    CudaBackend backend = (CudaBackend) CudaBackend.all().get(0);
    boolean equal;
    try (Ops ops = backend.open(1)) {
      DeviceDraws draws = new DeviceDraws(backend, ops);
      equal = draws.compare();
      for (int count : new int[] {1, 256, 1024}) {
        draws.time("greedy", count, SamplingParameters.greedy(1));
        draws.time("temperature", count, at(0.8).build());
        draws.time("top-p", count, at(0.8).topP(0.95).build());
        draws.time("one mask, top-p", count, at(0.8).topP(0.95).build(), 1);
        draws.time("masks, top-p", count, at(0.8).topP(0.95).build(), count);
        draws.time("top-k, top-p", count, at(0.8).topK(50).topP(0.95).build());
      }
    }
    System.exit(equal ? 0 : 1);
  }

  private static SamplingParameters.Builder at(double temperature) {
    return SamplingParameters.builder().temperature(temperature);
  }

  private static TokenMask[] masks(int count) {
    Random random = new Random(3);
    return Stream.generate(
            () -> TokenMask.of(VOCABULARY, random.longs(TokenMask.words(VOCABULARY)).toArray()))
        .limit(count)
        .toArray(TokenMask[]::new);
  }

  /** Draws by every kind of parameters, on the device and here. */
  private boolean compare() {
    Tensor logits = ops.floats(COMPARED, VOCABULARY);
    LogitQueries there = queries(COMPARED);
    LogitQueries here = queries(COMPARED);
    for (int i = 0; i < COMPARED; i++) {
      backend.setRow(logits, i, rows[i % DISTINCT]);
    }
    ops.answer(there, logits);
    Sampler sampler = new Sampler(VOCABULARY);
    int different = 0;
    for (int i = 0; i < COMPARED; i++) {
      sampler.draw(here, i, rows[here.draw(i).row() % DISTINCT].clone(), 0);
      if (here.draw(i).token() != there.draw(i).token() || !there.draw(i).isAnswered()) {
        different++;
        print(
            "draw %d, %s: %d on the device, %d here",
            i, here.draw(i).parameters(), there.draw(i).token(), here.draw(i).token());
      }
    }
    print("%d draws of %d logits, %d differ from the host's", COMPARED, VOCABULARY, different);
    return different == 0;
  }

  private static LogitQueries queries(int count) {
    Random random = new Random(2);
    LogitQueries queries = new LogitQueries();
    for (int i = 0; i < count; i++) {
      SamplingParameters parameters =
          at(i % 8 == 0 ? 0 : 0.1 + 1.5 * random.nextDouble())
              .topK(i % 3 == 0 ? 1 + random.nextInt(1 << random.nextInt(17)) : 0)
              .topP(i % 2 == 0 ? 1 - 0.3 * random.nextDouble() : 1)
              .minP(i % 5 == 0 ? 0.1 * random.nextDouble() : 0)
              .repetitionPenalty(i % 7 == 0 ? 1.2 : 1)
              .frequencyPenalty(i % 11 == 0 ? 0.3 : 0)
              .seed(random.nextLong())
              .build();
      queries.draw(i, parameters, random.nextLong(), i % 3, i);
      for (int token = 0; parameters.hasPenalties() && token < 3000; token++) {
        queries.addSeen(token * 50 + i, token % 4);
      }
      if (i % 3 > 0) {
        queries.allow(MASKS[i % MASKS.length]);
      }
    }
    return queries;
  }

  /** Rows of {@code count} steps' logits drawn from, with the exchange. */
  private void time(String what, int count, SamplingParameters parameters) {
    time(what, count, parameters, 0);
  }

  /** The same with so many different masks, or none. */
  private void time(String what, int count, SamplingParameters parameters, int masks) {
    Tensor logits = ops.floats(count, VOCABULARY);
    double[] seconds = new double[REPEATS];
    LogitQueries queries = new LogitQueries();
    for (int run = -2; run < REPEATS; run++) {
      for (int i = 0; i < count; i++) {
        backend.setRow(logits, i, rows[i % DISTINCT]);
      }
      queries.clear();
      for (int i = 0; i < count; i++) {
        queries.draw(i, parameters, i, 0, run + 2);
        if (masks > 0) {
          queries.allow(MASKS[i % masks]);
        }
      }
      long start = System.nanoTime();
      ops.answer(queries, logits);
      if (run >= 0) {
        seconds[run] = (System.nanoTime() - start) / 1e9;
      }
    }
    Arrays.sort(seconds);
    double median = seconds[REPEATS / 2];
    print(
        "%-15s %5d rows: %8.3f ms (%.3f to %.3f), %6.0f GB/s of logits",
        what,
        count,
        median * 1e3,
        seconds[0] * 1e3,
        seconds[REPEATS - 1] * 1e3,
        4.0 * count * VOCABULARY / median / 1e9);
  }

  private static void print(String format, Object... values) {
    System.out.println(String.format(Locale.ROOT, format, values));
  }
}
