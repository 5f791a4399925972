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
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * Labels the demonstration's rows ({@code examples/label-intents.yaml}) on a backend without Spark,
 * whose jars and the modules a template needs are more than some GPU machines take. {@code encode
 * EXAMPLES FILE} makes its prompts and choices by the tokenizer and template; {@code cpu} or {@code
 * cuda}, with the folder of the examples and the file, answers them.
 */
public final class DeviceLabels {
  private static final double TOLERANCE = 0.001;
  private static final ObjectMapper JSON = new ObjectMapper();

  private DeviceLabels() {}

  /** The choices' tokens, and for every row its prompt and the choice it should get. */
  private record Rows(List<int[]> choices, List<int[]> prompts, List<Integer> truths) {}

  public static void main(String[] arguments) throws Exception {
    Path examples = Path.of(arguments[1]);
    Path model = examples.resolve("models/tiny-k2-instruct");
    Path file = Path.of(arguments[2]);
    if (arguments[0].equals("encode")) {
      JSON.writeValue(file.toFile(), encode(examples, model));
    } else {
      label(model, JSON.readValue(file.toFile(), Rows.class), arguments[0]);
    }
  }

  private static Rows encode(Path examples, Path model) throws IOException {
    Tokenizer tokenizer = Tokenizer.load(model);
    ChatTemplate chat = ChatTemplate.load(model, tokenizer).orElseThrow();
    List<String> labels = Files.readAllLines(examples.resolve("data/clinc150/labels.txt"));
    Rows rows = new Rows(new ArrayList<>(), new ArrayList<>(), new ArrayList<>());
    for (String label : labels) {
      TokenIds end = chat.endOfTurn();
      TokenIds text = tokenizer.encode(label);
      int[] ids = Arrays.copyOf(ints(text), text.length() + end.length());
      end.copyTo(0, end.length(), ids, text.length());
      rows.choices().add(ids);
    }
    for (String line : Files.readAllLines(examples.resolve("data/clinc150/test.jsonl"))) {
      JsonNode row = JSON.readTree(line);
      TokenIds prompt =
          chat.encode(
              List.of(
                  ChatMessage.of("system", "Label the intent of the request."),
                  ChatMessage.of("user", row.get("text").asText())),
              true);
      rows.prompts().add(ints(prompt));
      rows.truths().add(labels.indexOf(row.get("intent").asText()));
    }
    return rows;
  }

  private static int[] ints(TokenIds ids) {
    int[] out = new int[ids.length()];
    ids.copyTo(0, out.length, out, 0);
    return out;
  }

  /** The weights alone: the checkpoint's tokenizer is not needed, nor what it needs. */
  private static Path withoutTokenizer(Path model) throws IOException {
    Path folder = Files.createTempDirectory("labels");
    try (Stream<Path> files = Files.list(model)) {
      for (Path from : files.toList()) {
        String name = from.getFileName().toString();
        if (name.equals("config.json") || name.contains("safetensors")) {
          Files.copy(from, folder.resolve(name));
        }
      }
    }
    return folder;
  }

  private static void label(Path model, Rows rows, String backend) throws IOException {
    ChoiceSet choices =
        new ChoiceSet(
            IntStream.range(0, rows.choices().size()).mapToObj(Integer::toString).toList(),
            rows.choices().stream().map(TokenIds::of).toList());
    List<GenerationRequest> requests = new ArrayList<>();
    for (int[] prompt : rows.prompts()) {
      requests.add(
          new GenerationRequest(
              requests.size(), TokenIds.of(prompt), new Objective.Choose(choices, TOLERANCE)));
    }
    Engine engine =
        Engine.shared(
            EngineOptions.of(withoutTokenizer(model))
                .withBackend(Backend.valueOf(backend.toUpperCase(Locale.ROOT))));
    long start = System.nanoTime();
    int hits = 0;
    try (ResultStream results = engine.generate(requests.iterator())) {
      while (results.hasNext()) {
        GenerationResult result = results.next();
        if (result.outcome() instanceof Outcome.Choice choice) {
          hits += choice.best() == rows.truths().get((int) result.id()) ? 1 : 0;
        }
      }
    }
    System.out.println(
        String.format(
            Locale.ROOT,
            "%d rows labelled on %s: %d hit, accuracy %.4f, %.1f s",
            requests.size(),
            backend,
            hits,
            hits / (double) requests.size(),
            (System.nanoTime() - start) / 1e9));
    System.exit(0);
  }
}
