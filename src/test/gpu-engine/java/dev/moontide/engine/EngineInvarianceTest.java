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
package dev.moontide.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.api.ChoiceSet;
import dev.moontide.api.EngineOptions;
import dev.moontide.api.EngineOptions.Backend;
import dev.moontide.api.EngineOptions.Precision;
import dev.moontide.api.GenerationRequest;
import dev.moontide.api.GenerationResult;
import dev.moontide.api.Objective;
import dev.moontide.api.Outcome;
import dev.moontide.api.SamplingParameters;
import dev.moontide.api.TokenIds;
import dev.moontide.cpu.CpuOps;
import dev.moontide.cuda.Emulation;
import dev.moontide.cuda.KernelPath;
import dev.moontide.model.Golden;
import dev.moontide.model.ModelConfig;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The bits of a row's answer are the same alone and in any batch, whatever the order, the chunk
 * size, cached prefixes, preemption and the number of threads. Scores and label probabilities are
 * the logits' own bits, so equal answers here mean equal logits.
 */
class EngineInvarianceTest {
  /** Objective, temperature and beginning recur every 20 rows: one of each combination. */
  private static final int ROWS = 20;

  /** Blocks of the longest row: 74 shared tokens, 30 of its own and 40 new or tried ones. */
  private static final int LONGEST_ROW = 5;

  /** Tokens that half of the rows begin with: two blocks and a piece. */
  private static final int BEGINNING = 74;

  /** Tokens that every output has. */
  private static final int OUTPUT = 24;

  /** The same where blocks have 64 tokens: 4 of the longest row. */
  private static final int LONGEST_WIDE_ROW = 4;

  private static final int WIDE_BEGINNING = 100;
  private static final int WIDE_OUTPUT = 70;

  /** How an engine computes the rows; none of it may show in an answer. */
  private record Batch(
      int maxTokens,
      int maxSequences,
      int cacheBlocks,
      int threads,
      boolean sharesPrefixes,
      int longestRow) {
    /** Whether some row must make room for another. */
    boolean preempts() {
      return cacheBlocks < 2 * longestRow && maxSequences > 1;
    }

    EngineOptions options(String model, Backend backend, Precision precision, long blockBytes) {
      return new EngineOptions(
          Golden.folder(model),
          backend,
          precision,
          maxTokens,
          maxSequences,
          cacheBlocks * blockBytes,
          256,
          threads,
          sharesPrefixes);
    }
  }

  private static List<Batch> batches(int longestRow) {
    return List.of(
        new Batch(2048, 256, ROWS * longestRow, 2, true, longestRow),
        new Batch(16, 7, ROWS * longestRow, 2, true, longestRow),
        new Batch(61, 64, ROWS * longestRow, 3, false, longestRow),
        new Batch(333, 64, longestRow + 1, 1, true, longestRow));
  }

  /** Generations, scores and label sets, half of them sharing a long beginning. */
  private static List<GenerationRequest> requests(int vocabulary, int beginning, int output) {
    Random random = new Random(11);
    int[] shared = random.ints(beginning, 0, vocabulary).toArray();
    ChoiceSet choices = choices(random, vocabulary);
    List<GenerationRequest> requests = new ArrayList<>();
    for (int i = 0; i < ROWS; i++) {
      int[] own = random.ints(1 + random.nextInt(30), 0, vocabulary).toArray();
      int[] prompt = own;
      if (i % 2 == 0) {
        prompt = new int[shared.length + own.length];
        System.arraycopy(shared, 0, prompt, 0, shared.length);
        System.arraycopy(own, 0, prompt, shared.length, own.length);
      }
      SamplingParameters parameters =
          SamplingParameters.builder()
              .maxTokens(output + random.nextInt(17))
              .temperature(i % 4 == 0 ? 0 : 0.9)
              .topP(0.95)
              .seed(5)
              .ignoreEos(true)
              .build();
      Objective objective =
          switch (i % 5) {
            case 0 -> new Objective.Score();
            case 1 -> new Objective.Choose(choices, i % 2 == 0 ? 0 : 1e-3);
            default -> new Objective.Sample(parameters, i, 0);
          };
      requests.add(new GenerationRequest(i, TokenIds.of(prompt), objective));
    }
    return requests;
  }

  private static ChoiceSet choices(Random random, int vocabulary) {
    List<String> names = new ArrayList<>();
    Set<TokenIds> distinct = new LinkedHashSet<>();
    while (distinct.size() < 12) {
      int length = 1 + random.nextInt(3);
      int[] ids = new int[length + 1];
      for (int t = 0; t < length; t++) {
        ids[t] = t == 0 ? distinct.size() / 3 : random.nextInt(vocabulary - 1);
      }
      ids[length] = vocabulary - 1;
      if (distinct.add(TokenIds.of(ids))) {
        names.add("choice " + names.size());
      }
    }
    return new ChoiceSet(names, List.copyOf(distinct));
  }

  /**
   * Runs {@code requests} and, where the batch is one that preempts or shares prefixes, checks that
   * it did.
   */
  private static Map<Long, Outcome> run(
      EngineOptions options, Batch batch, List<GenerationRequest> requests) {
    Map<Long, Outcome> outcomes = new TreeMap<>();
    try (Engine engine = new Engine(EngineLoader.load(options), options)) {
      try (ResultStream results = engine.generate(requests.iterator())) {
        while (results.hasNext()) {
          GenerationResult result = results.next();
          assertTrue(
              !(result.outcome() instanceof Outcome.Failure), () -> result.outcome().toString());
          outcomes.put(result.id(), result.outcome());
        }
      }
      EngineStatistics statistics = engine.statistics();
      assertEquals(batch.sharesPrefixes, statistics.cachedTokens() > 0, batch.toString());
      assertEquals(batch.preempts(), statistics.preemptions() > 0, batch.toString());
    }
    assertEquals(requests.size(), outcomes.size());
    return outcomes;
  }

  @ParameterizedTest
  @CsvSource({
    "micro-k2, F32, 512",
    "micro-k2, BF16, 512",
    "micro-grouped, BF16, 512",
    "micro-k2dims-fp8, BF16, 300"
  })
  void sameBitsAloneAndInAnyBatch(String model, Precision precision, int vocabulary) {
    ModelConfig config = ModelConfig.load(Golden.folder(model));
    int blockSize;
    long blockBytes;
    try (CpuOps ops = CpuOps.create(precision, 1)) {
      blockSize = ops.blockSize(CacheSize.BLOCK_SIZE);
      blockBytes = ops.kvBlockBytes(config.numHiddenLayers(), blockSize, config.attention());
    }
    boolean isWide = blockSize > CacheSize.BLOCK_SIZE;
    assertSameBits(
        model,
        Backend.CPU,
        precision,
        blockBytes,
        isWide
            ? requests(vocabulary, WIDE_BEGINNING, WIDE_OUTPUT)
            : requests(vocabulary, BEGINNING, OUTPUT),
        batches(isWide ? LONGEST_WIDE_ROW : LONGEST_ROW));
  }

  /** Each path and each form of weights; on a device itself, every path with every form. */
  static Stream<Arguments> modelsOnAGpu() {
    Stream<Arguments> few =
        Stream.of(
            Arguments.of("micro-grouped", 512, "simple"),
            Arguments.of("micro-int4", 512, "mma"),
            Arguments.of("micro-k2dims-fp8", 300, "mma"),
            Arguments.of("micro-k2dims-fp8", 300, "hopper"));
    Stream<Arguments> others =
        Stream.of(
            Arguments.of("micro-grouped", 512, "mma"),
            Arguments.of("micro-int4", 512, "simple"),
            Arguments.of("micro-k2dims-fp8", 300, "simple"));
    return Boolean.getBoolean("moontide.test.gpu") ? Stream.concat(few, others) : few;
  }

  /** Fewer requests in fewer batches: on the emulated device they take longer. */
  @ParameterizedTest
  @MethodSource("modelsOnAGpu")
  void sameBitsOnAGpuAloneAndInAnyBatch(String model, int vocabulary, String path) {
    Emulation.start();
    boolean isHopper = path.equals("hopper");
    List<Batch> batches = isHopper ? batches(LONGEST_WIDE_ROW) : batches(LONGEST_ROW);
    EngineOptions options = EngineOptions.of(Golden.folder(model));
    MemoryPlan plan = MemoryPlan.of(options, KernelPath.valueOf(path.toUpperCase(Locale.ROOT)));
    System.setProperty("moontide.cuda.path", path);
    try {
      assertSameBits(
          model,
          Backend.CUDA,
          Precision.AUTO,
          plan.blockBytes(),
          (isHopper
                  ? requests(vocabulary, WIDE_BEGINNING, WIDE_OUTPUT)
                  : requests(vocabulary, BEGINNING, OUTPUT))
              .subList(0, ROWS / 2),
          List.of(batches.get(1), batches.get(3)));
    } finally {
      System.clearProperty("moontide.cuda.path");
    }
  }

  private static void assertSameBits(
      String model,
      Backend backend,
      Precision precision,
      long blockBytes,
      List<GenerationRequest> requests,
      List<Batch> batches) {
    int longestRow = batches.get(0).longestRow;
    Batch one = new Batch(512, 1, longestRow, 1, false, longestRow);
    Map<Long, Outcome> alone =
        run(one.options(model, backend, precision, blockBytes), one, requests);
    Random random = new Random(3);
    for (Batch batch : batches) {
      List<GenerationRequest> shuffled = new ArrayList<>(requests);
      Collections.shuffle(shuffled, random);
      EngineOptions options = batch.options(model, backend, precision, blockBytes);
      assertEquals(alone, run(options, batch, shuffled), batch.toString());
    }
  }
}
