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
import dev.moontide.model.Golden;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * The bits of a row's answer are the same alone and in any batch, whatever the order, the chunk
 * size, cached prefixes, preemption and the number of threads. Scores and label probabilities are
 * the logits' own bits, so equal answers here mean equal logits.
 */
class EngineInvarianceTest {
  private static final int ROWS = 60;

  private static EngineOptions options(
      String model,
      Precision precision,
      int maxBatchTokens,
      int maxSequences,
      long kvCacheBytes,
      int threads,
      boolean prefixCache) {
    return new EngineOptions(
        Golden.folder(model),
        Backend.CPU,
        precision,
        maxBatchTokens,
        maxSequences,
        kvCacheBytes,
        256,
        threads,
        prefixCache);
  }

  /** Generations, scores and label sets, half of them sharing a long beginning. */
  private static List<GenerationRequest> requests(int vocabulary) {
    Random random = new Random(11);
    int[] shared = random.ints(37, 0, vocabulary).toArray();
    ChoiceSet choices = choices(random, vocabulary);
    List<GenerationRequest> requests = new ArrayList<>();
    for (int i = 0; i < ROWS; i++) {
      int[] own = random.ints(1 + random.nextInt(60), 0, vocabulary).toArray();
      int[] prompt = own;
      if (i % 2 == 0) {
        prompt = new int[shared.length + own.length];
        System.arraycopy(shared, 0, prompt, 0, shared.length);
        System.arraycopy(own, 0, prompt, shared.length, own.length);
      }
      SamplingParameters parameters =
          SamplingParameters.builder()
              .maxTokens(1 + random.nextInt(40))
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

  private static Map<Long, Outcome> run(EngineOptions options, List<GenerationRequest> requests) {
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
    List<GenerationRequest> requests = requests(vocabulary);
    Map<Long, Outcome> alone = run(options(model, precision, 512, 1, 8 << 20, 1, false), requests);
    Random random = new Random(3);
    record Batch(int maxTokens, int maxSequences, long cacheBytes, int threads, boolean cache) {}
    for (Batch batch :
        List.of(
            new Batch(2048, 256, 32 << 20, 2, true),
            new Batch(16, 7, 32 << 20, 2, true),
            new Batch(61, 64, 32 << 20, 3, false),
            new Batch(333, 64, 600 << 10, 1, true))) {
      List<GenerationRequest> shuffled = new ArrayList<>(requests);
      Collections.shuffle(shuffled, random);
      assertEquals(
          alone,
          run(
              options(
                  model,
                  precision,
                  batch.maxTokens,
                  batch.maxSequences,
                  batch.cacheBytes,
                  batch.threads,
                  batch.cache),
              shuffled),
          batch.toString());
    }
  }
}
