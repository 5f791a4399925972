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
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.api.MoontideException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class JobFileTest {
  @TempDir Path folder;

  @Test
  void readsEveryKindOfOption() throws Exception {
    Map<String, List<String>> values =
        read("""
                model: models/tiny
                maxTokens: 16
                top-p: 0.95
                input: [a.jsonl, b.jsonl]
                input-option: {sep: ";", header: false}
                stop: END
                choices: [yes, "no, never"]
                overwrite: true
                ignoreEos: false
                prompt: |
                  Summarise:
                  {{ text }}
                """)
            .values();
    assertEquals(
        Map.of(
            "model", List.of("models/tiny"),
            "max-tokens", List.of("16"),
            "top-p", List.of("0.95"),
            "input", List.of("a.jsonl", "b.jsonl"),
            "input-option", List.of("sep=;", "header=false"),
            "stop", List.of("END"),
            "choices", List.of("[\"yes\",\"no, never\"]"),
            "overwrite", List.of("true"),
            "ignore-eos", List.of("false"),
            "prompt", List.of("Summarise:\n{{ text }}\n")),
        values);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          overwrite: 1              | overwrite is "1": allowed is true or false
          choices: [yes, null]      | choices is null: allowed is a list of values; a text "null" is quoted
          choices: [~]              | choices is null
          choices: *x               | *x is an alias
          input-option: {sep: [a]}  | input-option is ["a"]: allowed is a map to values
          model: [a, b]             | model is ["a","b"]: allowed is one value
          model:                    | model is null: allowed is one value
          overwrite: maybe          | overwrite is "maybe": allowed is true or false
          input: [[a]]              | input is ["a"]: allowed is a list of values
          config: other.yaml        | unknown option config
          - model                   | expected lines of option: value
          'model: "a'               | job.yaml: while scanning
          """)
  void tellsWhatIsWrong(String yaml, String told) {
    MoontideException error = assertThrows(MoontideException.class, () -> read(yaml));
    assertEquals(MoontideException.Category.CONFIGURATION, error.category());
    assertTrue(String.valueOf(error.getMessage()).contains(told), error.getMessage());
  }

  @Test
  void scalarsAreWhatIsWritten() throws Exception {
    String written =
        "007, 1e3, 0x1F, 1_000, 2024-01-02, 1.10, .5, 12:30, yes, No, on, OFF, True, \"null\"";
    assertEquals(
        List.of(
            "[\"007\",\"1e3\",\"0x1F\",\"1_000\",\"2024-01-02\",\"1.10\",\".5\",\"12:30\",\"yes\",\"No\","
                + "\"on\",\"OFF\",\"True\",\"null\"]"),
        read("choices: [" + written + "]\n").all("choices"));
    assertEquals(List.of("1_0", "0x1F"), read("stop: [1_0, 0x1F]\n").all("stop"));
    assertEquals(List.of("1e3"), read("prompt: 1e3\n").all("prompt"));
    assertEquals(
        List.of("a=007", "b=1.0"), read("input-option: {a: 007, b: 1.0}\n").all("input-option"));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          engine-resources: {gpu: 1, cores: 8}  | gpu=1,cores=8
          engine-resources: [cores=1, memory=2g] | cores=1,memory=2g
          engine-resources: cores=1             | cores=1
          """)
  void pairsAreAMapAListOrOneText(String yaml, String value) throws Exception {
    assertEquals(List.of(value), read(yaml).all("engine-resources"));
  }

  @Test
  void anOptionInBothSpellingsStandsTwice() {
    MoontideException error =
        assertThrows(MoontideException.class, () -> read("max-tokens: 1\nmaxTokens: 2\n"));
    assertTrue(String.valueOf(error.getMessage()).contains("max-tokens stands twice"));
  }

  private Values read(String yaml) throws IOException {
    Path file = folder.resolve("job.yaml");
    Files.writeString(file, yaml);
    return new JobFile(file, JobCommand.generate().options(), name -> Optional.empty()).read();
  }
}
