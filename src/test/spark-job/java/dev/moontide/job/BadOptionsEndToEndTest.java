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
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * What is wrong with the options shows in one line, with status 2 and before any weights are read:
 * the checkpoint here has none, so that reading them would be another error.
 */
class BadOptionsEndToEndTest extends EndToEnd {
  private String modelWithoutWeights() throws IOException {
    Path model = Files.createDirectory(folder.resolve("model"));
    for (String name : List.of("config.json", "tiktoken.model", "tokenizer_config.json")) {
      Files.copy(Path.of(MODEL, name), model.resolve(name));
    }
    return model.toString();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          label    --labels-file nowhere.txt                   | nowhere.txt
          label    --labels a,b --text-column body             | body, which the rows do not have; they have id, n, text
          label    --labels a,b --text-column n                | n, which is of type BIGINT
          label    --labels a,b --truth-column intent          | truth-column names the column intent
          label    --labels a,b --input {folder}/empty.jsonl   | the rows do not have; they have no column at all
          label    --labels-file {folder}/empty.jsonl          | empty.jsonl, which is empty
          label    --labels-file {folder}/latin1.txt           | latin1.txt, which cannot be read (it is not UTF-8)
          label    --labels a,b --input nosuch://x/y.jsonl     | nosuch://x/y.jsonl is on no file system that is known
          label    --labels a,b --input hdfs://no.host.here:1/y.jsonl | --input hdfs://no.host.here:1/y.jsonl cannot be reached: there is no host
          label    --labels a,b --output hdfs://no.host.here:1/y | --output hdfs://no.host.here:1/y cannot be reached: there is no host
          label    --labels a,b --input s3a://bucket/y.jsonl   | --packages org.apache.hadoop:hadoop-aws:3.
          label    --labels a,b --input-format range           | --input-format is range: allowed is jsonl, csv
          label    --labels a,b --input {folder}/broken.jsonl --text-column body | do not have; they have id, n, text\n
          label    --labels a,b --input-option sep=; sep=,     | --input-option gives sep twice
          generate --choices a,b --prompt x --temperature 1 --ignore-eos | --temperature, --ignore-eos are given with --choices
          sql      {select} --view x=nosuch                    | --view x is nosuch: allowed is a file
          sql      {select} --view x=a --view x=b              | --view gives x twice
          label    --choices-column text                       | choices-column names the column text
          label    --labels a,b --where nosuch=1               | --where is nosuch=1
          label    --labels a,b --input-format nosuch          | nosuch
          label    --labels a,b --temperature 2                | --temperature
          generate --prompt {{body}}                           | body
          generate --prompt {{text                             | prompt
          generate --prompt x --top-p 2                        | top-p
          generate --prompt x --allowed-token-ids 5-9,x        | allowed-token-ids is x: allowed are token ids and ranges
          generate --prompt x --allowed-token-ids 5-999999     | allowed-token-ids has 999999: allowed are the model's token ids, 0 to
          label    --labels a,b --allowed-token-ids 5          | --allowed-token-ids
          generate --prompt x --max-batch-tokens 1             | max-batch-tokens
          generate --prompt x --max-model-len 999999           | max-model-len
          generate --prompt x --backend tpu                    | backend is tpu: allowed is auto, cpu, cuda
          generate --ids-column text                           | ids-column names the column text
          generate --messages-column n                         | messages-column names the column n
          score    --ids-column ids                            | ids
          score    --ids-column text --chat                    | chat
          """)
  void optionsAreToldBeforeTheModelIsLoaded(String options, String told) throws Exception {
    String input = write("in.jsonl", "{\"id\": 1, \"text\": \"x\", \"n\": 2}\n");
    write("empty.jsonl", "");
    write("broken.jsonl", "{\"id\": 1, \"text\": \"x\", \"n\": 2}\n{\n");
    Files.write(folder.resolve("latin1.txt"), new byte[] {'a', (byte) 0xe9, '\n'});
    String given = options.replace("{folder}", folder.toString());
    List<String> arguments = new ArrayList<>(List.of(given.split(" +")));
    arguments.replaceAll(argument -> argument.replace("{select}", "SELECT 1 FROM x"));
    String command = arguments.remove(0);
    arguments.addAll(List.of("--model", modelWithoutWeights()));
    Map.of("--input", input, "--output", path("out"))
        .forEach(
            (option, value) -> {
              if (!arguments.contains(option) && !(command + option).equals("sql--input")) {
                arguments.addAll(List.of(option, value));
              }
            });
    assertTold(run(command, arguments.toArray(String[]::new)), told.replace("\\n", "\n"));
    assertFalse(Files.exists(folder.resolve("out")));
  }

  @Test
  void aModelThatIsNoCheckpointIsTold() {
    String input = write("in.jsonl", "{\"text\": \"x\"}\n");
    assertTold(
        run(
            "label",
            "--labels",
            "a,b",
            "--model",
            path("nowhere"),
            "--input",
            input,
            "--output",
            path("out")),
        path("nowhere"));
  }

  @Test
  void aPlaceThatCannotBeWrittenIsTold() {
    String input = write("in.jsonl", "{\"text\": \"x\"}\n");
    assertTold(
        run(
            "label",
            "--labels",
            "a,b",
            "--model",
            MODEL,
            "--input",
            input,
            "--output",
            "/proc/nosuch/out"),
        "--output /proc/nosuch/out cannot be written");
  }

  @Test
  void whatACommandDoesNotSayTheSessionDoes() {
    String input = write("in.jsonl", "{\"id\": 1, \"text\": \"hello\"}\n");
    session().conf().set("spark.moontide.model", MODEL);
    session().conf().set("spark.moontide.outputPrefix", "ai_");
    session().conf().set("spark.moontide.labels", "goodbye");
    try {
      CommandLineRun run =
          CommandLineRun.of(
              "label",
              "--dtype",
              "f32",
              "--quiet",
              "--labels",
              "greeting,goodbye",
              "--input",
              input,
              "--output",
              path("out"));
      assertEquals(0, run.status(), run.err());
      assertEquals("greeting", output("out").first().getAs("ai_label"));
      session().conf().set("spark.moontide.label", "goodbye");
      assertTold(
          run("label", "--labels", "a,b", "--input", input, "--output", path("other")),
          "there is no option spark.moontide.label; did you mean spark.moontide.labels?");
    } finally {
      for (String name : List.of("model", "outputPrefix", "labels", "label")) {
        session().conf().unset("spark.moontide." + name);
      }
    }
  }

  @Test
  void everyProblemOfACheckpointIsTold() throws Exception {
    String model = modelWithoutWeights();
    Path config = Path.of(model, "config.json");
    String damaged =
        Files.readString(config)
            .replaceFirst("\"hidden_size\": *\\d+", "\"hidden_size\": -5")
            .replaceFirst("\"num_hidden_layers\": *\\d+", "\"num_hidden_layers\": \"six\"");
    Files.writeString(config, damaged);
    String input = write("in.jsonl", "{\"text\": \"x\"}\n");
    String[] options = {
      "--labels", "a,b", "--model", model, "--input", input, "--output", path("out")
    };
    CommandLineRun run = run("label", options);
    assertEquals(1, run.status(), run.err());
    assertTrue(run.err().contains("config.json: 2 problems"), run.err());
    assertTrue(run.err().contains("hidden_size is -5, expected"), run.err());
    assertTrue(run.err().contains("num_hidden_layers is six, expected"), run.err());
  }

  @Test
  void aCheckpointThatIsNotWholeIsToldBeforeAnythingRuns() throws Exception {
    String model = modelWithoutWeights();
    String input = write("in.jsonl", "{\"text\": \"x\"}\n");
    String[] options = {
      "--labels", "a,b", "--model", model, "--input", input, "--output", path("out")
    };
    CommandLineRun run = run("label", options);
    assertEquals(1, run.status(), run.err());
    assertEquals(1, run.err().lines().count(), run.err());
    assertTrue(run.err().contains("neither model.safetensors.index.json nor"), run.err());
    assertFalse(Files.exists(folder.resolve("_out.moontide")));
    CommandLineRun sql = run("sql", "--model", model, "SELECT ai_gen('x')");
    assertEquals(1, sql.status(), sql.err());
  }

  private static void assertTold(CommandLineRun run, String told) {
    assertEquals(2, run.status(), run.err());
    assertEquals(1, run.err().lines().count(), run.err());
    assertTrue(run.err().startsWith("moontide"), run.err());
    assertTrue(run.err().contains(told), run.err());
    assertEquals("", run.out());
  }

  @Test
  void aColumnThatIsThereAlreadyNeedsAPrefix() {
    String input = write("in.jsonl", "{\"id\": 1, \"text\": \"hello\", \"Label\": \"x\"}\n");
    String[] options = {
      "--labels",
      "greeting,goodbye",
      "--input",
      input,
      "--output",
      path("out"),
      "--output-prefix",
      ""
    };
    assertTold(run("label", options), "output-prefix");
    options[options.length - 1] = "ai_";
    done("label", options);
    assertEquals(
        List.of(
            "Label",
            "id",
            "text",
            "ai_response",
            "ai_finish_reason",
            "ai_error",
            "ai_prompt_tokens",
            "ai_cached_tokens",
            "ai_completion_tokens",
            "ai_label",
            "ai_label_probability",
            "ai_label_probabilities"),
        List.of(output("out").columns()));
    assertEquals("greeting", output("out").first().getAs("ai_label"));
  }

  @Test
  void anOutputIsReplacedOnlyWhereThatIsAskedFor() {
    String input = write("in.jsonl", "{\"id\": 1, \"text\": \"hello\"}\n");
    String[] options = {
      "--labels", "greeting,goodbye", "--input", input, "--output", "/proc/nosuch/out"
    };
    assertTold(run("label", options), "--output /proc/nosuch/out cannot be written: ");
    options[options.length - 1] = path("out");
    done("label", options);
    assertTold(run("label", options), "--overwrite");
    assertEquals(1, output("out").count());
    write("in.jsonl", "{\"id\": 1, \"text\": \"hello\"}\n{\"id\": 2, \"text\": \"hello\"}\n");
    String[] replacing = Arrays.copyOf(options, options.length + 1);
    replacing[options.length] = "--overwrite";
    done("label", replacing);
    assertEquals(2, output("out").count());
    assertEquals(2, summary("out").get("rows").asInt());
  }
}
