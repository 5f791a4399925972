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
package dev.moontide.spark.store;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import dev.moontide.api.ChoiceSet;
import dev.moontide.api.GenerationRequest;
import dev.moontide.api.Objective;
import dev.moontide.api.SamplingParameters;
import dev.moontide.api.TokenIds;
import dev.moontide.api.TokenRanges;
import java.lang.reflect.RecordComponent;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class RequestKeysTest {
  private static final TokenIds PROMPT = TokenIds.of(1, 2, 3);
  private static final SamplingParameters GREEDY = SamplingParameters.greedy(8);
  private static final SamplingParameters DRAWN =
      SamplingParameters.builder().maxTokens(8).temperature(1).build();

  private final RequestKeys keys = new RequestKeys("model", 100);

  private RequestKey key(TokenIds prompt, Objective objective) {
    return keys.of(new GenerationRequest(7, prompt, objective));
  }

  private static Objective sample(SamplingParameters parameters) {
    return new Objective.Sample(parameters, 5, 0);
  }

  @Test
  void whatShowsInTheAnswerIsInTheKey() {
    List<Objective> objectives = new ArrayList<>();
    objectives.add(sample(GREEDY));
    objectives.add(sample(SamplingParameters.greedy(9)));
    objectives.add(sample(SamplingParameters.builder().maxTokens(8).stop(List.of("a, b")).build()));
    objectives.add(
        sample(SamplingParameters.builder().maxTokens(8).stop(List.of("a", "b")).build()));
    objectives.add(
        sample(SamplingParameters.builder().maxTokens(8).stopTokenIds(List.of(3)).build()));
    for (String allowed : List.of("3", "3-4", "0-100000")) {
      TokenRanges ids = TokenRanges.parse("ids", List.of(allowed));
      objectives.add(
          sample(SamplingParameters.builder().maxTokens(8).allowedTokenIds(ids).build()));
    }
    objectives.add(sample(SamplingParameters.builder().maxTokens(8).ignoreEos(true).build()));
    objectives.add(sample(SamplingParameters.builder().maxTokens(8).presencePenalty(1).build()));
    objectives.add(sample(SamplingParameters.builder().maxTokens(8).frequencyPenalty(1).build()));
    objectives.add(sample(SamplingParameters.builder().maxTokens(8).repetitionPenalty(2).build()));
    objectives.add(sample(DRAWN));
    objectives.add(
        sample(SamplingParameters.builder().maxTokens(8).temperature(1).seed(1).build()));
    objectives.add(
        sample(SamplingParameters.builder().maxTokens(8).temperature(1).topK(3).build()));
    objectives.add(
        sample(SamplingParameters.builder().maxTokens(8).temperature(1).topP(0.5).build()));
    objectives.add(
        sample(SamplingParameters.builder().maxTokens(8).temperature(1).minP(0.5).build()));
    objectives.add(new Objective.Sample(DRAWN, 6, 0));
    objectives.add(new Objective.Sample(DRAWN, 5, 1));
    objectives.add(new Objective.Score());
    objectives.add(new Objective.Choose(choices("x", 1, "y", 2), 0));
    objectives.add(new Objective.Choose(choices("x", 1, "y", 2), 0.1));
    objectives.add(new Objective.Choose(choices("y", 2, "x", 1), 0));
    objectives.add(new Objective.Choose(choices("x", 2, "y", 1), 0));

    List<RequestKey> seen = new ArrayList<>();
    for (Objective objective : objectives) {
      seen.add(key(PROMPT, objective));
      seen.add(key(TokenIds.of(1, 2), objective));
      seen.add(key(TokenIds.of(1, 2, 3, 0), objective));
    }
    assertEquals(3 * objectives.size(), new HashSet<>(seen).size());
    assertNotEquals(
        key(PROMPT, sample(GREEDY)),
        new RequestKeys("another", 100).of(new GenerationRequest(7, PROMPT, sample(GREEDY))));
  }

  private static ChoiceSet choices(String first, int token, String second, int other) {
    return new ChoiceSet(List.of(first, second), List.of(TokenIds.of(token), TokenIds.of(other)));
  }

  @Test
  void whatDoesNotShowIsNot() {
    RequestKey greedy = key(PROMPT, sample(GREEDY));
    assertEquals(greedy, key(TokenIds.of(1, 2, 3), new Objective.Sample(GREEDY, 6, 1)));
    assertEquals(
        greedy, key(PROMPT, sample(SamplingParameters.builder().maxTokens(8).seed(9).build())));
    assertEquals(
        greedy, keys.of(new GenerationRequest(8, PROMPT, sample(SamplingParameters.greedy(8)))));
    // Of max-tokens and the model's length, the one that ends the output counts.
    assertEquals(
        key(PROMPT, sample(SamplingParameters.greedy(97))),
        key(PROMPT, sample(SamplingParameters.greedy(300))));
    assertEquals(
        key(PROMPT, new Objective.Choose(choices("x", 1, "y", 2), 0)),
        key(PROMPT, new Objective.Choose(choices("x", 1, "y", 2), 0)));
  }

  /** Whoever adds a parameter shall put it into the key, and then here. */
  @Test
  void everyParameterIsKnown() {
    assertEquals(
        List.of(
            "maxTokens",
            "temperature",
            "topK",
            "topP",
            "minP",
            "presencePenalty",
            "frequencyPenalty",
            "repetitionPenalty",
            "stop",
            "stopTokenIds",
            "allowedTokenIds",
            "seed",
            "ignoreEos"),
        components(SamplingParameters.class));
    assertEquals(
        List.of("parameters", "rowKey", "sampleIndex"), components(Objective.Sample.class));
    assertEquals(List.of("choices", "tolerance"), components(Objective.Choose.class));
    assertEquals(List.of("names", "tokens"), components(ChoiceSet.class));
  }

  private static List<String> components(Class<? extends Record> type) {
    return Stream.of(type.getRecordComponents()).map(RecordComponent::getName).toList();
  }

  /** What is stored today must be found tomorrow. */
  @Test
  void keysDoNotChange() {
    RequestKey key = key(PROMPT, sample(GREEDY));
    assertEquals("2fef940e3dd4860f88b5503220ab2a2a", "%016x%016x".formatted(key.high(), key.low()));
  }
}
