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

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What is told, and with which exit status, before any session is opened. */
class MainTest {
  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(strings = {"label", "generate", "score", "inspect", "bench"})
  void helpOfACommandExplainsItsOptionsAndEndsWithExamples(String command) {
    CommandLineRun run = CommandLineRun.of(command, "--help");
    assertEquals(0, run.status());
    assertTrue(run.out().contains("--model=DIR"), run.out());
    assertTrue(run.out().contains("Examples:"), run.out());
    assertTrue(run.out().contains("moontide " + command + " --model"), run.out());
  }

  @Test
  void helpListsTheCommands() {
    CommandLineRun run = CommandLineRun.of("--help");
    assertEquals(0, run.status());
    for (String command : List.of("label", "generate", "score", "inspect", "bench")) {
      assertTrue(run.out().contains("\n  " + command), run.out());
    }
  }

  @Test
  void noCommandShowsTheUsageAsAnError() {
    CommandLineRun run = CommandLineRun.of();
    assertEquals(2, run.status());
    assertTrue(run.err().startsWith("Usage: moontide"), run.err());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          lable                                   | no command lable: the commands are label, generate, score, sql, inspect, bench
          label --modle x                         | did you mean --model?
          label --input a b --modle x             | Unknown option: '--modle': did you mean --model?
          label --model                           | --model
          label --model x --model y               | --model is given twice
          label --labels a,b                      | model
          label --model x                         | labels
          label --model x --choices a,a           | "a" twice
          bench --engine-resources cores=1        | --engine-resources
          label --model x --labels a,a            | "a" twice
          label --model x --labels a,b            | --input is missing
          label --model x --labels a,b --input y  | --output is missing
          generate --model x                      | prompt
          generate --model x --text-column body   | --input is missing
          generate --model x --prompt p --temperature hot                     | hot
          generate --model x --prompt p --temperature -1                      | -1
          score --model x --input y --output z --limit 0                      | --limit is 0
          score --model x --input y --output z --partitions many              | many
          score --model x --input y --output z --output-format xml            | --output-format is xml
          score --model x --input y --output z --output-option compression    | name=value
          score --model x --chat --raw                                        | chat and raw
          score --config nowhere.yaml                                         | nowhere.yaml
          inspect                                                             | --model is missing
          inspect --model nowhere                                             | --model is nowhere
          bench --model nowhere                                               | --model is nowhere
          bench --shape width=1                                               | --shape has no key "width"
          bench --new-tokens 1                                                | --new-tokens is 1
          bench --sequences 1,x                                               | --sequences is 1,x
          """)
  void badOptionsAreToldInOneLine(String arguments, String told) {
    CommandLineRun run = CommandLineRun.of(arguments.split(" +"));
    assertEquals(2, run.status(), run.err());
    assertEquals(1, run.err().lines().count(), run.err());
    assertTrue(run.err().startsWith("moontide"), run.err());
    assertTrue(run.err().contains(told), run.err());
    assertEquals("", run.out());
  }

  @Test
  void negativeNumbersAndTextsWithDashesAreValues() {
    CommandLineRun run =
        CommandLineRun.of(
            "generate",
            "--model",
            "x",
            "--prompt",
            "- say {{ text }}",
            "--presence-penalty",
            "-1",
            "--seed",
            "-7",
            "--stop",
            "-",
            "##");
    assertTrue(run.err().contains("--input is missing"), run.err());
  }

  @Test
  void theTextOfAColumnCanBeThePrompt() {
    String told = CommandLineRun.of("generate", "--model", "x", "--text-column", "t").err();
    assertTrue(told.contains("--input is missing"), told);
  }

  @Test
  void theCommandLineWinsOverTheJobFile() throws Exception {
    Path file = folder.resolve("job.yaml");
    Files.writeString(file, "model: x\nprompt: p\nmaxTokens: 0\n");
    assertTrue(
        CommandLineRun.of("generate", "--config", file.toString()).err().contains("max-tokens"));
    String told =
        CommandLineRun.of("generate", "--config", file.toString(), "--max-tokens", "5").err();
    assertTrue(told.contains("--input is missing"), told);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '"',
      textBlock =
          """
          label    | labels-file: no.txt    | --labels a,b
          label    | choices-column: c      | --labels a,b
          label    | text-column: t, labels: a | --prompt p
          label    | chat: true, labels: a  | --ids-column i
          generate | system: s, prompt: p   | --raw
          generate | chat: true, prompt: p  | --raw
          generate | raw: true, prompt: p   | --system s
          generate | system: s, prompt: p   | --ids-column i
          generate | chat: true, raw: true, prompt: p | --no-chat
          """)
  void whatIsTypedRulesOutWhatTheJobFileSays(String command, String file, String typed)
      throws Exception {
    String told = withFile(command, "{model: x, " + file + "}", typed.split(" ")).err();
    assertTrue(told.contains("--input is missing"), told);
  }

  @Test
  void aShapeTypedRulesOutTheModelOfAFile() throws Exception {
    String told = withFile("bench", "model: nowhere", "--shape", "width=1").err();
    assertTrue(told.contains("--shape has no key \"width\""), told);
    told = withFile("bench", "shape: {hidden_size: 64}", "--model", "nowhere").err();
    assertTrue(told.contains("--model is nowhere"), told);
  }

  @Test
  void aFlagOfTheJobFileCanBeSwitchedOff() {
    Values file = new Values(Map.of("overwrite", List.of("true"), "no-resume", List.of("true")));
    Values typed =
        CommandSyntax.values(
            CommandSyntax.of(List.of(JobCommand.label()))
                .parseArgs("label", "--no-overwrite", "--resume", "--preserve-order")
                .subcommand());
    Values both = typed.orElse(file, JobCommand.label().exclusive());
    assertFalse(both.isOn("overwrite"));
    assertFalse(both.isOn("no-resume"));
    assertTrue(both.isOn("preserve-order"));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          sequences: [1, x]                 | --sequences is ["1","x"]
          shape: {hidden_size: 256, width: 1} | --shape has no key "width"
          shape: [hidden_size=64, width=1]  | --shape has no key "width"
          sequences: [1, 2], new-tokens: 1  | --new-tokens is 1
          """)
  void benchTakesListsAndMaps(String file, String told) throws Exception {
    CommandLineRun run = withFile("bench", "{" + file + "}");
    assertTrue(run.err().contains(told), run.err());
  }

  private CommandLineRun withFile(String command, String yaml, String... typed) throws Exception {
    Path file = folder.resolve("job.yaml");
    Files.writeString(file, yaml);
    return CommandLineRun.of(
        Stream.concat(Stream.of(command, "--config", file.toString()), Stream.of(typed))
            .toArray(String[]::new));
  }

  @Test
  void anUnknownOptionInAJobFileNamesTheNearest() throws Exception {
    Path file = folder.resolve("job.yaml");
    Files.writeString(file, "model: x\nmaxTokns: 5\n");
    CommandLineRun run = CommandLineRun.of("generate", "--config", file.toString());
    assertEquals(2, run.status());
    assertTrue(run.err().contains("maxTokns: did you mean max-tokens?"), run.err());
  }
}
