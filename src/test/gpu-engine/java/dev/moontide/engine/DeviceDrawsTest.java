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

import dev.moontide.api.EngineOptions;
import dev.moontide.api.EngineOptions.Backend;
import dev.moontide.api.EngineOptions.Precision;
import dev.moontide.api.GenerationRequest;
import dev.moontide.api.Objective;
import dev.moontide.api.Outcome;
import dev.moontide.api.SamplingParameters;
import dev.moontide.api.TokenIds;
import dev.moontide.api.TokenRanges;
import dev.moontide.cuda.Emulation;
import dev.moontide.model.Golden;
import dev.moontide.model.LanguageModel;
import dev.moontide.sampling.Sampler;
import dev.moontide.tensor.LogitQueries;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * What an engine on a GPU answers does not show whether the device or the host draws its tokens.
 */
class DeviceDrawsTest {
  private static final int ROWS = 18;
  private static final int SCORED_EVERY = 6;

  private static final List<@Nullable TokenRanges> ALLOWED =
      Arrays.asList(
          null,
          null,
          TokenRanges.parse("ids", List.of("3-70", "299")),
          TokenRanges.parse("ids", List.of("5", "64", "127-128", "250-290")));

  @ParameterizedTest
  @CsvSource({
    "micro-grouped, 512, simple",
    "micro-grouped, 512, mma",
    "micro-k2dims-fp8, 300, hopper"
  })
  void answersAreThoseOfTheHost(String model, int vocabulary, String path) {
    Emulation.start();
    Emulation.configure();
    EngineOptions options =
        new EngineOptions(
            Golden.folder(model), Backend.CUDA, Precision.AUTO, 128, 16, 0, 64, 2, true);
    System.setProperty("moontide.cuda.path", path);
    try {
      List<GenerationRequest> requests = requests(vocabulary);
      Map<Long, Outcome> there = run(options, requests, loaded -> loaded);
      Map<Long, Outcome> here = run(options, requests, DeviceDrawsTest::drawnHere);
      assertEquals(here, there);
      long completions =
          there.values().stream().filter(Outcome.Completion.class::isInstance).count();
      assertEquals(ROWS - ROWS / SCORED_EVERY, completions);
    } finally {
      System.clearProperty("moontide.cuda.path");
    }
  }

  private static List<GenerationRequest> requests(int vocabulary) {
    Random random = new Random(4);
    List<GenerationRequest> requests = new ArrayList<>();
    for (int i = 0; i < ROWS; i++) {
      TokenIds prompt = TokenIds.of(random.ints(3 + i, 0, vocabulary).toArray());
      SamplingParameters parameters =
          SamplingParameters.builder()
              .maxTokens(12)
              .temperature(i % 4 == 0 ? 0 : 0.4 + random.nextDouble())
              .topK(i % 3 == 0 ? 40 : 0)
              .topP(i % 2 == 0 ? 0.9 : 1)
              .minP(i % 5 == 1 ? 0.05 : 0)
              .repetitionPenalty(i % 3 == 1 ? 1.3 : 1)
              .presencePenalty(i % 4 == 1 ? 0.5 : 0)
              .frequencyPenalty(i % 4 == 2 ? 0.7 : 0)
              .allowedTokenIds(ALLOWED.get(i % ALLOWED.size()))
              .seed(i / 2)
              .ignoreEos(true)
              .build();
      requests.add(
          new GenerationRequest(
              i,
              prompt,
              i % SCORED_EVERY == 5
                  ? new Objective.Score()
                  : new Objective.Sample(parameters, i, i % 2)));
    }
    return requests;
  }

  private static Map<Long, Outcome> run(
      EngineOptions options, List<GenerationRequest> requests, UnaryOperator<LoadedModel> change) {
    Map<Long, Outcome> outcomes = new TreeMap<>();
    try (Engine engine = new Engine(change.apply(EngineLoader.load(options)), options);
        ResultStream results = engine.generate(requests.iterator())) {
      results.forEachRemaining(result -> outcomes.put(result.id(), result.outcome()));
    }
    assertEquals(requests.size(), outcomes.size());
    return outcomes;
  }

  /** The same model, whose logits are read and drawn from here. */
  private static LoadedModel drawnHere(LoadedModel loaded) {
    LanguageModel model = loaded.model();
    Sampler sampler = new Sampler(model.vocabularySize());
    float[] logits = new float[model.vocabularySize()];
    LanguageModel drawing =
        (LanguageModel)
            Proxy.newProxyInstance(
                LanguageModel.class.getClassLoader(),
                new Class<?>[] {LanguageModel.class},
                (proxy, method, arguments) -> {
                  if (!method.getName().equals("answer")) {
                    return method.invoke(model, arguments);
                  }
                  LogitQueries queries = (LogitQueries) arguments[0];
                  for (int i = 0; i < queries.draws(); i++) {
                    model.readLogits(queries.draw(i).row(), logits);
                    sampler.draw(queries, i, logits, 0);
                    assertTrue(queries.draw(i).isAnswered());
                  }
                  LogitQueries scores = new LogitQueries();
                  for (int i = 0; i < queries.logProbabilityCount(); i++) {
                    scores.logProbability(queries.rows()[i], queries.tokens()[i]);
                  }
                  model.answer(scores);
                  System.arraycopy(
                      scores.logProbabilities(),
                      0,
                      queries.logProbabilities(),
                      0,
                      scores.logProbabilityCount());
                  return null;
                });
    return new LoadedModel(
        drawing,
        loaded.decoders(),
        loaded.stopTokenIds(),
        loaded.device(),
        loaded.loadSeconds(),
        loaded.loadedBytes());
  }
}
