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
package dev.moontide.device;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.moontide.api.ChoiceSet;
import dev.moontide.api.EngineOptions;
import dev.moontide.api.EngineOptions.Backend;
import dev.moontide.api.GenerationRequest;
import dev.moontide.api.GenerationResult;
import dev.moontide.api.Objective;
import dev.moontide.api.Outcome;
import dev.moontide.api.TokenIds;
import dev.moontide.engine.Engine;
import dev.moontide.engine.ResultStream;
import dev.moontide.tokenizer.ChatMessage;
import dev.moontide.tokenizer.ChatTemplate;
import dev.moontide.tokenizer.Tokenizer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * Labels the demonstration's rows ({@code examples/label-intents.yaml}) on a backend without Spark,
 * whose jars are more than some GPU machines take: the same prompts and choices by the same
 * tokenizer and template. Arguments: the folder of the examples, then {@code cpu} or {@code cuda}.
 */
public final class DeviceLabels {
  private static final double TOLERANCE = 0.001;

  private DeviceLabels() {}

  public static void main(String[] arguments) throws Exception {
    Path examples = Path.of(arguments[0]);
    Path model = examples.resolve("models/tiny-k2-instruct");
    Tokenizer tokenizer = Tokenizer.load(model);
    ChatTemplate chat = ChatTemplate.load(model, tokenizer).orElseThrow();
    List<String> labels = Files.readAllLines(examples.resolve("data/clinc150/labels.txt"));
    ChoiceSet choices =
        new ChoiceSet(
            labels,
            labels.stream().map(label -> join(tokenizer.encode(label), chat.endOfTurn())).toList());
    List<GenerationRequest> requests = new ArrayList<>();
    List<String> truths = new ArrayList<>();
    ObjectMapper json = new ObjectMapper();
    for (String line : Files.readAllLines(examples.resolve("data/clinc150/test.jsonl"))) {
      JsonNode row = json.readTree(line);
      TokenIds prompt =
          chat.encode(
              List.of(
                  ChatMessage.of("system", "Label the intent of the request."),
                  ChatMessage.of("user", row.get("text").asText())),
              true);
      requests.add(
          new GenerationRequest(truths.size(), prompt, new Objective.Choose(choices, TOLERANCE)));
      truths.add(row.get("intent").asText());
    }
    EngineOptions options =
        EngineOptions.of(model).withBackend(Backend.valueOf(arguments[1].toUpperCase(Locale.ROOT)));
    Engine engine = Engine.shared(options);
    long start = System.nanoTime();
    int hits = 0;
    try (ResultStream results = engine.generate(requests.iterator())) {
      while (results.hasNext()) {
        GenerationResult result = results.next();
        if (result.outcome() instanceof Outcome.Choice choice) {
          hits += labels.get(choice.best()).equals(truths.get((int) result.id())) ? 1 : 0;
        }
      }
    }
    System.out.println(
        String.format(
            Locale.ROOT,
            "%d rows labelled on %s: %d hit, accuracy %.4f, %.1f s",
            requests.size(),
            arguments[1],
            hits,
            hits / (double) requests.size(),
            (System.nanoTime() - start) / 1e9));
    System.exit(0);
  }

  private static TokenIds join(TokenIds a, TokenIds b) {
    int[] ids = new int[a.length() + b.length()];
    a.copyTo(0, a.length(), ids, 0);
    b.copyTo(0, b.length(), ids, a.length());
    return TokenIds.of(ids);
  }
}
