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
package dev.moontide.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.stream.Stream;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.Test;

/** {@code label} by the shipped example, on part of its rows. */
class LabelEndToEndTest extends EndToEnd {
  /** The example names its files relative to the repository's root; a test runs in its module. */
  private CommandLineRun example(String output, String... options) {
    return done(
        "label",
        Stream.concat(
                Stream.of(
                    "--config",
                    EXAMPLES.resolve("label-intents.yaml").toString(),
                    "--labels-file",
                    LABELS,
                    "--output",
                    path(output)),
                Stream.of(options))
            .toArray(String[]::new));
  }

  @Test
  void theShippedExampleLabelsEveryRowOnce() throws Exception {
    // Two requests of each of the 150 intents.
    String where = "int(substring(id, 6)) % 15 = 0";
    CommandLineRun run = example("out", "--input", REQUESTS, "--where", where);

    List<Row> rows = output("out").collectAsList();
    Set<String> labels = new HashSet<>(Files.readAllLines(Path.of(LABELS)));
    Set<String> ids = new HashSet<>();
    int correct = 0;
    for (Row row : rows) {
      ids.add(row.getAs("id"));
      assertNull(row.<String>getAs("error"));
      assertEquals("stop", row.getAs("finish_reason"));
      String label = row.getAs("label");
      assertEquals(label, row.getAs("response"));
      Map<String, Double> probabilities = row.getJavaMap(row.fieldIndex("label_probabilities"));
      assertEquals(labels, probabilities.keySet());
      assertEquals(1, probabilities.values().stream().mapToDouble(p -> p).sum(), 1e-9);
      double best = Collections.max(probabilities.values());
      assertEquals(best, row.<Double>getAs("label_probability"));
      assertEquals(best, probabilities.get(label));
      assertTrue(row.<Integer>getAs("prompt_tokens") > row.<Integer>getAs("cached_tokens"));
      assertTrue(row.<Integer>getAs("completion_tokens") >= 2, "a label and its end of turn");
      correct += label.equals(row.getAs("intent")) ? 1 : 0;
    }
    assertEquals(300, rows.size());
    assertEquals(
        new HashSet<>(
            session().read().json(REQUESTS).where(where).select("id").collectAsList().stream()
                .map(row -> row.getString(0))
                .toList()),
        ids);
    assertEquals(ACCURATE, correct);
    assertTrue(
        run.out()
            .contains(
                "accuracy    0.%04d (%d of 300)".formatted(Math.round(correct / 0.03), correct)),
        run.out());
    assertSummary(summary("out"), rows, correct);
  }

  /** What the model gets right of the 300 in float32. */
  private static final int ACCURATE = 274;

  private static void assertSummary(JsonNode summary, List<Row> rows, int correct) {
    assertEquals("label", summary.get("command").asText());
    assertEquals(300, summary.get("rows").asInt());
    assertEquals(0, summary.get("errors").asInt());
    assertFalse(summary.has("error_reasons"));
    assertEquals(300, summary.get("computed").asInt());
    assertEquals(0, summary.get("reused").asInt());
    assertTrue(summary.get("cached_tokens").asInt() > 0);
    for (String count : List.of("prompt_tokens", "completion_tokens")) {
      int sum = rows.stream().mapToInt(row -> row.<Integer>getAs(count)).sum();
      assertEquals(sum, summary.get(count).asInt(), count);
    }
    assertTrue(summary.get("tokens_per_second").asDouble() > 0);
    for (String phase : List.of("start", "read", "compute")) {
      assertTrue(summary.get("seconds").get(phase).asDouble() >= 0, phase);
    }
    for (String part : List.of("prompts", "engine", "arrow")) {
      assertTrue(summary.get("task_seconds").get(part).asDouble() >= 0, part);
    }
    JsonNode labels = summary.get("labels");
    int labelled = 0;
    for (JsonNode count : labels) {
      labelled += count.asInt();
    }
    assertEquals(300, labelled);
    assertEquals(correct / 300.0, summary.get("accuracy").asDouble());
    assertEquals(correct, summary.get("correct").asInt());
    assertEquals(300, summary.get("truths").asInt());
    JsonNode lineage = summary.get("lineage");
    assertEquals(MODEL, lineage.get("model").get("location").asText());
    assertTrue(lineage.get("model").get("fingerprint").asText().startsWith("sha256:"));
    assertEquals("Label the intent of the request.", lineage.get("options").get("system").asText());
    assertEquals(REQUESTS, lineage.get("input").get(0).asText());
    assertTrue(lineage.get("versions").hasNonNull("moontide"));
  }

  @Test
  void partitionsStepsAndOrderDoNotShow() throws Exception {
    List<String> lines = new ArrayList<>();
    List<String> all = Files.readAllLines(Path.of(REQUESTS));
    for (int i = 0; i < all.size(); i += 100) {
      lines.add(all.get(i));
    }
    String input = write("requests.jsonl", String.join("\n", lines));
    Collections.shuffle(lines, new Random(7));
    String shuffled = write("shuffled.jsonl", String.join("\n", lines));

    example("one", "--input", input, "--partitions", "1");
    List<String> expected = sorted("one");
    assertEquals(45, expected.size());
    example("five", "--input", input, "--partitions", "5");
    assertEquals(expected, sorted("five"));
    example("small-steps", "--input", input, "--max-batch-tokens", "48");
    assertEquals(expected, sorted("small-steps"));
    example("shuffled", "--input", shuffled, "--partitions", "1");
    assertEquals(expected, sorted("shuffled"));
  }

  @Test
  void choicesAreLabelsAndWithoutATruthNothingIsSaidOfAccuracy() throws Exception {
    String input =
        write(
            "in.jsonl",
            "{\"id\": 1, \"text\": \"hello\", \"truth\": null}\n{\"id\": 2, \"truth\": \"x\"}\n{\n");
    Files.writeString(folder.resolve("labels.txt"), "\ufeffgreeting\r\ngoodbye\r\n");
    String[] options = {
      "--choices-file", path("labels.txt"), "--input", input, "--where", "truth is null"
    };
    CommandLineRun run = done("label", with(options, "--truth-column", "truth", "--output", "one"));
    assertFalse(run.out().contains("accuracy"), run.out());
    JsonNode summary = summary("one");
    assertFalse(summary.has("accuracy"), summary.toString());
    assertEquals(2, summary.get("rows").asInt());
    assertEquals(1, summary.get("errors").asInt());
    assertEquals(1, summary.get("computed").asInt());
    assertEquals("greeting", output("one").where("id = 1").first().getAs("label"));
    options[0] = "--choices";
    options[1] = "greeting,goodbye";
    done("label", with(options, "--output", "two"));
    assertEquals("greeting", output("two").where("id = 1").first().getAs("label"));
  }

  private String[] with(String[] options, String... more) {
    List<String> all = new ArrayList<>(List.of(options));
    all.addAll(List.of(more));
    all.set(all.size() - 1, path(all.get(all.size() - 1)));
    return all.toArray(String[]::new);
  }
}
