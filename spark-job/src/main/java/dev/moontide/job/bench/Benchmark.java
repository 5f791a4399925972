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
import dev.moontide.tokenizer.Tokenizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.Consumer;

/**
 * Measures an engine. Prompts are random token ids, the same each time; all of them run once to
 * warm up, on other prompts and for a few tokens, and then once for all that is told of them:
 *
 * <ul>
 *   <li><b>Prefill</b>: tokens of the steps that hold prompt tokens, over those steps' time.
 *   <li><b>Decode</b>, at as many sequences as there are prompts: tokens of the steps without
 *       prompt tokens, over those steps' time. Other numbers of sequences run after it, on the same
 *       prompts, which the prefix cache has.
 *   <li><b>The whole set</b>: prompt and new tokens, over the wall time from the first request to
 *       the last result.
 * </ul>
 *
 * GFLOP/s are the model's own ({@link FlopCount}); ratios are to {@link MatmulRate}.
 *
 * @param prompts prompts of the prefill and of the whole set
 * @param promptTokens tokens of each
 * @param newTokens tokens each sequence decodes
 * @param sequences numbers of sequences to decode together
 */
public record Benchmark(int prompts, int promptTokens, int newTokens, List<Integer> sequences) {
  private static final int WARM_UP_PROMPTS = 64;
  private static final int WARM_UP_TOKENS = 16;
  private static final long WARM_UP_SEED = 1;
  private static final long SEED = 2;

  public Benchmark {
    check(prompts >= 1, "prompts", prompts);
    check(promptTokens >= 1, "prompt-tokens", promptTokens);
    if (newTokens < 2) {
      throw MoontideException.configuration(
          "--new-tokens is %d: allowed is 2 or more, as the first comes with the prompt",
          newTokens);
    }
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

    progress.accept("warming up");
    run(engine, config, WARM_UP_SEED, Math.min(prompts, WARM_UP_PROMPTS), WARM_UP_TOKENS);

    progress.accept(
        "the whole set: %d prompts of %d tokens, %d new tokens each"
            .formatted(prompts, promptTokens, newTokens));
    Run whole = run(engine, config, SEED, prompts, newTokens);
    BenchReport.Rate prefill =
        rate(
            prompts,
            whole.prefillTokens,
            whole.prefillTokens / promptTokens * flops.prefill(promptTokens),
            whole.prefillSeconds,
            matmul);

    double flopPerToken = flops.decode(promptTokens, newTokens) / newTokens;
    List<BenchReport.Rate> decode = new ArrayList<>();
    for (int count : sequences) {
      Run run = whole;
      if (count != prompts) {
        progress.accept("decode: %d together, %d new tokens each".formatted(count, newTokens));
        run = run(engine, config, SEED, count, newTokens);
      }
      decode.add(
          rate(
              count, run.decodeTokens, run.decodeTokens * flopPerToken, run.decodeSeconds, matmul));
    }
    return new BenchReport(
        start.device(),
        config.totalParameters(),
        config.activeParameters(),
        matmul,
        start.loadedBytes() / start.loadSeconds() / 1e9,
        prefill,
        decode,
        prompts * (double) (promptTokens + newTokens) / whole.wallSeconds,
        whole.matmulSeconds / (whole.wallSeconds * start.threads()),
        Tokenizer.isPresent(options.model())
            ? TokenizerRate.measure(Tokenizer.load(options.model()), progress)
            : null);
  }

  private static BenchReport.Rate rate(
      int sequences, double tokens, double flop, double seconds, double matmulGflops) {
    double gflops = flop / seconds / 1e9;
    return new BenchReport.Rate(sequences, tokens / seconds, gflops, gflops / matmulGflops);
  }

  /** What the engine's statistics gained while it ran a set; tokens as doubles, to divide. */
  private record Run(
      double wallSeconds,
      double prefillTokens,
      double prefillSeconds,
      double decodeTokens,
      double decodeSeconds,
      double matmulSeconds) {}

  /** Runs {@code count} prompts to {@code tokens} new tokens each. */
  private Run run(Engine engine, ModelConfig config, long seed, int count, int tokens) {
    SamplingParameters parameters =
        SamplingParameters.builder().maxTokens(tokens).ignoreEos(true).build();
    SplittableRandom random = new SplittableRandom(seed);
    List<GenerationRequest> requests = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      int[] ids = new int[promptTokens];
      Arrays.setAll(ids, t -> random.nextInt(config.vocabSize()));
      requests.add(
          new GenerationRequest(i, TokenIds.of(ids), new Objective.Sample(parameters, i, 0)));
    }
    EngineStatistics before = engine.statistics();
    long start = System.nanoTime();
    try (ResultStream results = engine.generate(requests.iterator())) {
      while (results.hasNext()) {
        if (results.next().outcome() instanceof Outcome.Failure failure) {
          throw MoontideException.engine("bench: %s", failure.message());
        }
      }
    }
    double wallSeconds = (System.nanoTime() - start) / 1e9;
    EngineStatistics after = engine.statistics();
    long decoded = after.decodedTokens() - before.decodedTokens();
    return new Run(
        wallSeconds,
        after.computedTokens() - before.computedTokens() - decoded,
        after.prefillSeconds() - before.prefillSeconds(),
        decoded,
        after.decodeSeconds() - before.decodeSeconds(),
        after.matmulSeconds() - before.matmulSeconds());
  }
}
