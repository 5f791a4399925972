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
package dev.moontide.job.bench;

import dev.moontide.api.EngineOptions;
import dev.moontide.api.GenerationRequest;
import dev.moontide.api.MoontideException;
import dev.moontide.api.Objective;
import dev.moontide.api.Outcome;
import dev.moontide.api.SamplingParameters;
import dev.moontide.api.TokenIds;
import dev.moontide.cpu.MatmulRate;
import dev.moontide.engine.Engine;
import dev.moontide.engine.EngineStatistics;
import dev.moontide.engine.ResultStream;
import dev.moontide.model.ModelConfig;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.Consumer;
import java.util.stream.IntStream;

/**
 * Measures an engine: prompts alone, decoding at several numbers of sequences, and the whole set.
 * Prompts are random token ids, the same for the same seed; the prefix cache is off. Every figure
 * is the median of {@link #REPEATS} runs after one that is not counted.
 *
 * @param prompts prompts of the prefill and of the whole set
 * @param promptTokens tokens of each
 * @param newTokens tokens each sequence decodes
 * @param sequences numbers of sequences to decode together
 */
public record Benchmark(int prompts, int promptTokens, int newTokens, List<Integer> sequences) {
  private static final int REPEATS = 3;
  private static final long SEED = 20_25;

  public Benchmark {
    check(prompts >= 1, "prompts", prompts);
    check(promptTokens >= 1, "prompt-tokens", promptTokens);
    check(newTokens >= 1, "new-tokens", newTokens);
    sequences = List.copyOf(sequences);
    sequences.forEach(s -> check(s >= 1, "sequences", s));
  }

  private static void check(boolean valid, String name, Object value) {
    if (!valid) {
      throw MoontideException.configuration("%s is %s: allowed is 1 or more", name, value);
    }
  }

  /** Runs everything on {@code options}' checkpoint; {@code progress} hears what is being done. */
  public BenchReport run(EngineOptions options, Consumer<String> progress) {
    ModelConfig config = ModelConfig.load(options.model());
    FlopCount flops = new FlopCount(config);
    progress.accept("loading " + options.model());
    Engine engine = Engine.shared(options);
    progress.accept("measuring the machine's matrix product at 1024³");
    EngineStatistics start = engine.statistics();
    double matmul = MatmulRate.measure(start.dtype(), start.threads());

    progress.accept("prefill: %d prompts of %d tokens".formatted(prompts, promptTokens));
    double prefillSeconds = median(engine, config, prompts, 1);
    BenchReport.Rate prefill =
        rate(
            prompts,
            prompts * (double) promptTokens,
            prompts * flops.prefill(promptTokens),
            prefillSeconds,
            matmul);

    List<BenchReport.Rate> decode = new ArrayList<>();
    for (int count : sequences) {
      progress.accept("decode: %d sequences, %d new tokens each".formatted(count, newTokens));
      double alone = count == prompts ? prefillSeconds : median(engine, config, count, 1);
      double both = median(engine, config, count, newTokens + 1);
      decode.add(
          rate(
              count,
              count * (double) newTokens,
              count * flops.decode(promptTokens, newTokens),
              both - alone,
              matmul));
    }

    progress.accept("the whole set");
    EngineStatistics before = engine.statistics();
    double whole = seconds(engine, config, prompts, newTokens);
    EngineStatistics after = engine.statistics();
    return new BenchReport(
        after.device(),
        config.totalParameters(),
        config.activeParameters(),
        matmul,
        after.loadedBytes() / after.loadSeconds() / 1e9,
        prefill,
        decode,
        prompts * (double) (promptTokens + newTokens) / whole,
        (after.matmulSeconds() - before.matmulSeconds()) / (whole * start.threads()));
  }

  private static BenchReport.Rate rate(
      int sequences, double tokens, double flop, double seconds, double matmulGflops) {
    double gflops = flop / seconds / 1e9;
    return new BenchReport.Rate(sequences, tokens / seconds, gflops, gflops / matmulGflops);
  }

  private double median(Engine engine, ModelConfig config, int count, int tokens) {
    double[] runs =
        IntStream.rangeClosed(0, REPEATS)
            .mapToDouble(run -> seconds(engine, config, count, tokens))
            .skip(1)
            .sorted()
            .toArray();
    return runs[runs.length / 2];
  }

  /** Wall seconds to run {@code count} prompts to {@code tokens} new tokens each. */
  private double seconds(Engine engine, ModelConfig config, int count, int tokens) {
    SamplingParameters parameters =
        SamplingParameters.builder().maxTokens(tokens).ignoreEos(true).build();
    SplittableRandom random = new SplittableRandom(SEED);
    List<GenerationRequest> requests = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      int[] ids = new int[promptTokens];
      Arrays.setAll(ids, t -> random.nextInt(config.vocabSize()));
      requests.add(
          new GenerationRequest(i, TokenIds.of(ids), new Objective.Sample(parameters, i, 0)));
    }
    long start = System.nanoTime();
    try (ResultStream results = engine.generate(requests.iterator())) {
      while (results.hasNext()) {
        if (results.next().outcome() instanceof Outcome.Failure failure) {
          throw MoontideException.engine("bench: %s", failure.message());
        }
      }
    }
    return (System.nanoTime() - start) / 1e9;
  }
}
