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
package dev.moontide.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.moontide.api.EngineOptions;
import dev.moontide.api.MoontideException;
import dev.moontide.spark.JobOptions.Task;
import dev.moontide.spark.PromptOptions.LongPrompt;
import dev.moontide.spark.PromptOptions.Mode;
import dev.moontide.spark.PromptOptions.Source;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class JobOptionsTest {
  private static final Map<String, String> ALL =
      Map.ofEntries(
          Map.entry("task", "label"),
          Map.entry("model", "/models/k2"),
          Map.entry("model-cache", "/cache"),
          Map.entry("backend", "cpu"),
          Map.entry("dtype", "f32"),
          Map.entry("max-batch-tokens", "512"),
          Map.entry("max-sequences", "32"),
          Map.entry("kv-cache-memory", "512m"),
          Map.entry("max-model-len", "4096"),
          Map.entry("threads", "3"),
          Map.entry("prefix-cache", "false"),
          Map.entry("engine-resources", "gpu=1,cores=2,memory=3g"),
          Map.entry("prompt", "{{ text }}"),
          Map.entry("system", "Label it."),
          Map.entry("chat", "true"),
          Map.entry("on-long-prompt", "truncate-left"),
          Map.entry("max-tokens", "7"),
          Map.entry("temperature", "0.6"),
          Map.entry("top-p", "0.9"),
          Map.entry("top-k", "40"),
          Map.entry("min-p", "0.1"),
          Map.entry("presence-penalty", "0.5"),
          Map.entry("frequency-penalty", "-0.5"),
          Map.entry("repetition-penalty", "1.1"),
          Map.entry("stop", "[\"\\n\", \"a,b\"]"),
          Map.entry("stop-token-ids", "5, 6"),
          Map.entry("allowed-token-ids", "90, 7-9,10,12-30, 8"),
          Map.entry("seed", "-9000000000"),
          Map.entry("ignore-eos", "true"),
          Map.entry("labels", "good, bad ,so so"),
          Map.entry("probability-tolerance", "0.001"),
          Map.entry("id-column", "id"),
          Map.entry("truth-column", "truth"),
          Map.entry("output-prefix", "ai_"));

  private static Map<String, String> with(String... changes) {
    Map<String, String> options = new HashMap<>(ALL);
    for (int i = 0; i < changes.length; i += 2) {
      options.put(changes[i], changes[i + 1]);
    }
    options.values().removeIf("-"::equals);
    return options;
  }

  private static String error(Map<String, String> options) {
    MoontideException e = assertThrows(MoontideException.class, () -> JobOptions.fromMap(options));
    assertEquals(MoontideException.Category.CONFIGURATION, e.category());
    return String.valueOf(e.getMessage());
  }

  @Test
  void everyOptionIsRead() {
    JobOptions options = JobOptions.fromMap(ALL);
    assertEquals(Task.LABEL, options.task());
    assertEquals(
        new ModelOptions(
            "/models/k2",
            EngineOptions.Backend.CPU,
            EngineOptions.Precision.F32,
            512,
            32,
            512L << 20,
            4096,
            3,
            false,
            "/cache"),
        options.model());
    assertEquals(new EngineResources(1, 2, "3g", null), options.resources());
    assertEquals(
        new PromptOptions(
            new Source.Template("{{ text }}"), "Label it.", Mode.CHAT, LongPrompt.TRUNCATE_LEFT),
        options.prompt());
    assertEquals(
        "SamplingParameters[maxTokens=7, temperature=0.6, topK=40, topP=0.9, minP=0.1,"
            + " presencePenalty=0.5, frequencyPenalty=-0.5, repetitionPenalty=1.1, stop=[\n, a,b],"
            + " stopTokenIds=[5, 6], allowedTokenIds=7-10,12-30,90, seed=-9000000000, ignoreEos=true]",
        options.sampling().toString());
    assertEquals(
        new ChoiceOptions(new ChoiceOptions.Source.Fixed(List.of("good", "bad", "so so")), 0.001),
        options.choices());
    assertEquals(new OutputOptions("ai_", "id", "truth"), options.output());
  }

  @Test
  void anyKnownSpellingOfANameWillDo() {
    assertEquals(
        JobOptions.fromMap(Map.of("model", "m", "text-column", "t", "max-tokens", "9")),
        JobOptions.fromMap(Map.of("MODEL", "m", "textColumn", "t", "max_tokens", "9")));
  }

  @Test
  void whatACallSaysRulesOutWhatTheSessionDoes() {
    SessionOptions session =
        SessionOptions.of(
            Map.of(
                "spark.moontide.chat", "true",
                "spark.moontide.system", "s",
                "spark.moontide.labels", "a,b",
                "spark.moontide.topK", "4"));
    assertEquals(
        Map.of("raw", "true", "labels", "a,b", "top-k", "4"),
        session.beneath(Map.of("raw", "true")));
    assertEquals(
        Map.of("raw", "false", "chat", "true", "system", "s", "labels-file", "f", "top-k", "4"),
        session.beneath(Map.of("raw", "false", "labelsFile", "f")));
  }

  @Test
  void whatIsNotGivenHasADefault() {
    JobOptions options = JobOptions.fromMap(Map.of("model", "m", "task", "label", "labels", "a"));
    assertEquals(ModelOptions.of("m"), options.model());
    assertEquals(
        new PromptOptions(new Source.Text("text"), null, Mode.AUTO, LongPrompt.ERROR),
        options.prompt());
    assertEquals(new OutputOptions("", null, null), options.output());
    assertEquals(256, options.sampling().maxTokens());
  }

  @Test
  void theOtherNamesAreReadToo() {
    assertEquals(
        new Source.Text("t"),
        JobOptions.fromMap(Map.of("model", "m", "text-column", "t")).prompt().source());
    assertEquals(
        new Source.Messages("t"),
        JobOptions.fromMap(Map.of("model", "m", "messages-column", "t")).prompt().source());
    assertEquals(
        new Source.Ids("t"),
        JobOptions.fromMap(Map.of("model", "m", "ids-column", "t")).prompt().source());
    assertEquals(
        Mode.RAW,
        JobOptions.fromMap(Map.of("model", "m", "prompt", "p", "raw", "")).prompt().mode());
    assertEquals(new ChoiceOptions.Source.Column("c"), choices("choices-column", "c"));
    assertEquals(
        new ChoiceOptions.Source.Fixed(List.of("a,b", "c")),
        choices("choices", "[\"a,b\", \"c\"]"));
  }

  private static ChoiceOptions.Source choices(String name, String value) {
    ChoiceOptions choices =
        JobOptions.fromMap(Map.of("model", "m", "prompt", "p", name, value)).choices();
    return Objects.requireNonNull(choices).source();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          task              | classify | task is classify: allowed is generate, label, score
          backend           | tpu      | backend is tpu: allowed is auto, cpu, cuda
          max-sequences     | many     | max-sequences is many: allowed is a whole number
          max-sequences     | 0        | max-sequences is 0: allowed is at least 1
          max-tokens        | 3000000000 | max-tokens is 3000000000: allowed is a whole number up to 2147483647
          kv-cache-memory   | 2 pints  | kv-cache-memory is 2 pints: allowed is a size such as 512m or 2g
          temperature       | hot      | temperature is hot: allowed is a number
          temperature       | NaN      | temperature is NaN: allowed is from 0 to 100
          ignore-eos        | maybe    | ignore-eos is maybe: allowed is true or false
          stop              | [1       | stop is [1: allowed is a JSON array of strings, as it begins with [
          allowed-token-ids | 5,7-x    | allowed-token-ids is 7-x: allowed are token ids and ranges of them, such as 5,7-9
          allowed-token-ids | -3       | allowed-token-ids is -3: allowed are token ids and ranges of them, such as 5,7-9
          allowed-token-ids | 9-7      | allowed-token-ids is 9-7: allowed are token ids and ranges of them, such as 5,7-9
          allowed-token-ids | 3000000000 | allowed-token-ids is 3000000000: allowed are token ids and ranges of them, such as 5,7-9
          allowed-token-ids | []       | allowed-token-ids is empty: allowed are token ids and ranges of them, such as 5,7-9
          stop-token-ids    | a        | stop-token-ids is a: allowed is whole numbers
          on-long-prompt    | cut      | on-long-prompt is cut: allowed is error, truncate-left, truncate-right
          probability-tolerance | 0.5      | probability-tolerance is 0.5: allowed is from 0 (evaluate every label) to below 0.5
          labels            | a,b,a    | labels has "a" twice: remove one
          labels            | a,,b     | labels has an empty label: remove it
          text-column       | text     | prompt and text-column are all given: keep one
          choices-column    | options  | labels and choices-column are all given: keep one
          raw               | true     | chat and raw are both given: leave one out
          """)
  void aWrongValueIsToldWithWhatIsAllowed(String name, String value, String message) {
    assertEquals(message, error(with(name, value)));
  }

  @ParameterizedTest
  @ValueSource(strings = {"maxTokns", "max-token", "MAX_TOKENZ"})
  void anUnknownNameIsToldWithTheNearest(String name) {
    assertEquals(
        "there is no option " + name + "; did you mean max-tokens?", error(Map.of(name, "1")));
  }

  @Test
  void optionsThatContradictEachOtherAreToldApart() {
    assertEquals(
        "labels is not given: task label needs the closed set of labels, as labels, labels-file or"
            + " choices-column",
        error(with("labels", "-")));
    assertEquals(
        "choices are given with task score: allowed is with label and generate",
        error(with("task", "score", "truth-column", "-")));
    assertEquals(
        "truth-column is truth with task generate: allowed is with label",
        error(with("task", "generate")));
    assertEquals(
        "system is given with raw: a system message needs the chat template; leave one out",
        error(with("chat", "-", "raw", "true")));
    assertEquals(
        "chat is given with ids-column i: token ids are used as they are; leave one out",
        error(with("prompt", "-", "ids-column", "i")));
    assertEquals(
        "raw is given with messages-column m: messages need the chat template; leave one out",
        error(with("prompt", "-", "messages-column", "m", "chat", "-", "raw", "true")));
    assertEquals("model is not given: name a checkpoint's folder", error(with("model", "-")));
    assertEquals(
        "prompt is not given: name what each row asks by one of prompt, text-column,"
            + " messages-column, ids-column",
        error(Map.of("model", "m")));
    assertEquals(
        "maxTokens is given twice: remove one", error(orderedPair("max-tokens", "maxTokens")));
  }

  private static Map<String, String> orderedPair(String first, String second) {
    Map<String, String> options = new LinkedHashMap<>();
    options.put(first, "1");
    options.put(second, "2");
    return options;
  }

  @Test
  void labelsAreReadFromAFile(@TempDir Path folder) throws IOException {
    Path file = folder.resolve("labels.txt");
    Files.writeString(file, "déjà vu\n\n  two words \r\nc,d\n");
    for (String location : List.of(file.toString(), file.toUri().toString())) {
      ChoiceOptions choices =
          JobOptions.fromMap(with("labels", "-", "labels-file", location)).choices();
      assertEquals(
          new ChoiceOptions.Source.Fixed(List.of("déjà vu", "two words", "c,d")),
          Objects.requireNonNull(choices).source());
    }
    String missing = folder.resolve("none.txt").toString();
    assertEquals(
        "labels-file is %s, which cannot be read (java.nio.file.NoSuchFileException: %s): name a"
                .formatted(missing, missing)
            + " text file with one label a line",
        error(with("labels", "-", "labels-file", missing)));
  }

  @Test
  void aFolderMayBeWrittenAsAUri() {
    assertEquals("/a/b", ModelOptions.of("file:/a/b").location());
    assertEquals("/a/b", ModelOptions.of("file:///a/b/").location());
  }

  @Test
  void optionsTravelToExecutors() throws IOException, ClassNotFoundException {
    JobOptions options = JobOptions.fromMap(ALL);
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (ObjectOutputStream out = new ObjectOutputStream(bytes)) {
      out.writeObject(options);
    }
    try (ObjectInputStream in =
        new ObjectInputStream(new ByteArrayInputStream(bytes.toByteArray()))) {
      assertEquals(options, in.readObject());
    }
  }
}
