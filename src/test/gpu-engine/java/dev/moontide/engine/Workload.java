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

import dev.moontide.api.ChoiceSet;
import dev.moontide.api.GenerationRequest;
import dev.moontide.api.Objective;
import dev.moontide.api.SamplingParameters;
import dev.moontide.api.TokenIds;
import dev.moontide.api.TokenRanges;
import dev.moontide.tensor.DType;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;

/** Random requests: shared beginnings, all objectives, all kinds of parameters. */
final class Workload {
  static final Device DEVICE = new Device("fake", DType.F32, 1, () -> 0);
  static final int VOCABULARY = 40;
  static final TokenIds STOP = TokenIds.of(3, 4);

  private final Random random;
  private final List<int[]> beginnings = new ArrayList<>();
  private final List<ChoiceSet> choiceSets = new ArrayList<>();
  private final int longestPrompt;

  Workload(long seed, int longestPrompt) {
    random = new Random(seed);
    this.longestPrompt = longestPrompt;
    for (int i = 0; i < 3; i++) {
      beginnings.add(tokens(random.nextInt(longestPrompt)));
    }
    for (int i = 0; i < 3; i++) {
      choiceSets.add(choices(1 + random.nextInt(8)));
    }
  }

  static LoadedModel loaded(FakeModel model) {
    return new LoadedModel(model, () -> Workload::decode, STOP, DEVICE, 1.5, 7);
  }

  private static void decode(StringBuilder text, int token) {
    text.append(Straightforward.letter(token));
  }

  private int[] tokens(int length) {
    return random.ints(length, FakeModel.POISON + 1, VOCABULARY).toArray();
  }

  private ChoiceSet choices(int count) {
    Set<TokenIds> tokens = new LinkedHashSet<>();
    while (tokens.size() < count) {
      tokens.add(TokenIds.of(random.ints(1 + random.nextInt(4), 2, 8).toArray()));
    }
    List<TokenIds> list = new ArrayList<>(tokens);
    return new ChoiceSet(list.stream().map(TokenIds::toString).toList(), list);
  }

  GenerationRequest next(long id) {
    int[] beginning = beginnings.get(random.nextInt(beginnings.size()));
    int[] end = tokens(1 + random.nextInt(longestPrompt - beginning.length));
    int[] prompt = new int[beginning.length + end.length];
    System.arraycopy(beginning, 0, prompt, 0, beginning.length);
    System.arraycopy(end, 0, prompt, beginning.length, end.length);
    if (random.nextInt(25) == 0) {
      prompt[random.nextInt(prompt.length)] = FakeModel.POISON;
    }
    return new GenerationRequest(id, TokenIds.of(prompt), objective());
  }

  private Objective objective() {
    return switch (random.nextInt(4)) {
      case 0 -> new Objective.Score();
      case 1 ->
          new Objective.Choose(
              choiceSets.get(random.nextInt(choiceSets.size())),
              random.nextBoolean() ? 0 : random.nextDouble() * 0.2);
      case 2 -> new Objective.Sample(SamplingParameters.greedy(1 + random.nextInt(30)), 0, 0);
      default -> new Objective.Sample(parameters(), random.nextLong(), random.nextInt(3));
    };
  }

  private SamplingParameters parameters() {
    return SamplingParameters.builder()
        .maxTokens(1 + random.nextInt(30))
        .temperature(random.nextInt(4) == 0 ? 0 : 0.5 + random.nextDouble())
        .topK(random.nextBoolean() ? 0 : 1 + random.nextInt(10))
        .topP(random.nextBoolean() ? 1 : 0.5)
        .minP(random.nextBoolean() ? 0 : 0.05)
        .presencePenalty(random.nextInt(3) == 0 ? 0.5 : 0)
        .frequencyPenalty(random.nextInt(3) == 0 ? 0.5 : 0)
        .repetitionPenalty(random.nextInt(3) == 0 ? 1.2 : 1)
        .stop(random.nextBoolean() ? List.of() : List.of("ab", "q"))
        .stopTokenIds(random.nextBoolean() ? List.of() : List.of(30))
        .allowedTokenIds(
            random.nextInt(3) > 0
                ? null
                : TokenRanges.parse("ids", List.of("1-4", Integer.toString(random.nextInt(30)))))
        .seed(random.nextLong())
        .ignoreEos(random.nextBoolean())
        .build();
  }
}
