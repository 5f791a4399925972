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

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.moontide.tokenizer.Tokenizer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.Test;

/** {@code moontide sql}, with the answers that the other commands give. */
class SqlEndToEndTest extends EndToEnd {
  private static final String ROWS =
      """
      {"id": 1, "text": "how do you say hello in spanish", "next": " please"}
      {"id": 2, "text": "will it rain tomorrow", "next": ""}
      {"id": 3, "text": null, "next": "x"}
      """;

  private void refused(String message, String... options) {
    CommandLineRun run = run("sql", options);
    assertEquals(2, run.status(), run.err());
    assertTrue(run.err().contains(message), run.err());
    assertEquals(1, run.err().lines().count(), run.err());
  }

  @Test
  void answersArePrintedOneJsonObjectALine() throws Exception {
    String view = "t=" + write("rows.jsonl", ROWS);
    String statement =
        """
        SELECT id, ai_classify(text, array('translate', 'weather')) AS label,
               ai_query(text, map('max_tokens', '3')).completion_tokens AS tokens,
               ai_query(repeat(text, 999)).error AS error
        FROM t ORDER BY id
        """;
    CommandLineRun run =
        done("sql", "--view", view, "--system", "Label the intent of the request.", statement);
    List<String> lines = run.out().lines().toList();
    assertEquals(3, lines.size(), run.out());
    JsonNode first = new ObjectMapper().readTree(lines.get(0));
    assertEquals("translate", first.get("label").asText());
    assertTrue(first.get("tokens").asInt() > 0 && first.get("tokens").asInt() <= 3, run.out());
    assertTrue(first.get("error").asText().contains("tokens"), run.out());
    assertEquals("weather", new ObjectMapper().readTree(lines.get(1)).get("label").asText());
    assertEquals("{\"id\":3,\"label\":null,\"tokens\":null,\"error\":null}", lines.get(2));
  }

  @Test
  void aPlanIsPrintedAsText() {
    String view = "t=" + write("rows.jsonl", ROWS);
    CommandLineRun run =
        done("sql", "--view", view, "EXPLAIN SELECT ai_gen(text, map('max_tokens', '3')) FROM t");
    assertTrue(
        run.out()
            .lines()
            .anyMatch(line -> line.matches(".*Inference \\[ai_gen.*model=.*max-tokens=3.*")),
        run.out());
  }

  @Test
  void answersAreThoseOfTheOtherCommands() {
    String input = write("rows.jsonl", ROWS);
    String job =
        write(
            "job.yaml",
            """
            statement: |
              SELECT id, ai_gen(text) AS response, ai_score(text, next) AS logprob FROM t
            view:
              t: %s
            maxTokens: 5
            output: %s
            """
                .formatted(input, path("sql")));
    done("sql", "--config", job);
    done(
        "generate",
        "--input",
        input,
        "--prompt",
        "{{ text }}",
        "--max-tokens",
        "5",
        "--output",
        path("generated"));
    done(
        "score",
        "--input",
        input,
        "--text-column",
        "text",
        "--continuation-column",
        "next",
        "--output",
        path("scored"));
    List<Row> rows = output("sql").orderBy("id").collectAsList();
    List<Row> generated = output("generated").orderBy("id").collectAsList();
    List<Row> scored = output("scored").orderBy("id").collectAsList();
    for (int i = 0; i < 3; i++) {
      if (i < 2) {
        assertEquals(
            generated.get(i).<String>getAs("response"), rows.get(i).<String>getAs("response"));
      }
      assertEquals(scored.get(i).<Double>getAs("logprob"), rows.get(i).<Double>getAs("logprob"));
    }
    assertTrue(rows.get(0).<Double>getAs("logprob") < 0);
    assertEquals(0.0, rows.get(1).<Double>getAs("logprob"));
    assertEquals(
        scored.get(0).<Integer>getAs("prompt_tokens"),
        scored.get(0).getList(scored.get(0).fieldIndex("token_logprobs")).size()
            + promptTokens(scored.get(0)));
  }

  @Test
  void anOutputIsWholeReportedAndNotComputedTwice() throws Exception {
    String view = "t=" + write("rows.jsonl", ROWS);
    String[] command = {
      "SELECT id, ai_gen(text) AS a, ai_gen(next) AS b FROM t ORDER BY id",
      "--view",
      view,
      "--max-tokens",
      "2",
      "--output",
      path("out")
    };
    CommandLineRun run = done("sql", command);
    assertTrue(run.out().contains("prompts     5"), run.out());
    JsonNode summary = summary("out");
    assertEquals("sql", summary.get("command").asText());
    assertEquals(3, summary.get("rows").asInt());
    assertEquals(5, summary.get("prompts").asInt());
    assertEquals(0, summary.get("errors").asInt());
    assertEquals(5, summary.get("computed").asInt());
    assertEquals(command[0], summary.at("/lineage/options/statement").asText());
    assertEquals(view, summary.at("/lineage/input/0").asText());
    assertTrue(summary.at("/lineage/model/fingerprint").asText().startsWith("sha256:"));
    List<Row> rows = output("out").orderBy("id").collectAsList();

    refused("exists: add --overwrite", command);
    done("sql", with(command, "--overwrite"));
    assertEquals(0, summary("out").get("computed").asInt());
    assertEquals(5, summary("out").get("reused").asInt());
    assertEquals(rows, output("out").orderBy("id").collectAsList());
    done("sql", with(command, "--overwrite", "--no-resume"));
    assertEquals(5, summary("out").get("computed").asInt());
  }

  @Test
  void aStatementThatFailsLeavesNoOutputButItsAnswers() throws Exception {
    String view = "t=" + write("rows.jsonl", ROWS);
    // In one partition and in order: another task's failure would end the one that has the texts.
    String inOrder = "SELECT /*+ REPARTITION(1) */ * FROM t SORT BY id";
    String answers = "SELECT id, ai_gen(text) AS a FROM (%s)".formatted(inOrder);
    String failing = "SELECT id, if(id = 3, raise_error(coalesce(a, 'no text')), a) FROM (%s)";
    CommandLineRun run =
        run("sql", failing.formatted(answers), "--view", view, "--output", path("out"));
    assertEquals(1, run.status(), run.err());
    assertTrue(run.err().contains("no text"), run.err());
    assertFalse(Files.exists(folder.resolve("out")));
    done("sql", answers, "--view", view, "--output", path("out"));
    assertEquals(2, summary("out").get("reused").asInt());
    assertEquals(3, output("out").count());
    refused("has no rows to write", "CREATE TEMP VIEW w AS SELECT 1", "--output", path("none"));
  }

  private static String[] with(String[] options, String... more) {
    return Stream.concat(Stream.of(options), Stream.of(more)).toArray(String[]::new);
  }

  /** Tokens of the text before its continuation. */
  private static int promptTokens(Row row) {
    return Tokenizer.load(Path.of(MODEL)).encode(row.getAs("text")).length();
  }

  @Test
  void badStatementsAndOptionsAreToldInOneLine() {
    String view = "t=" + write("rows.jsonl", ROWS);
    refused("--statement is missing", "--view", view);
    refused("the statement cannot be run", "SELECT ai_gen(nothing) FROM t", "--view", view);
    refused("the statement cannot be run", "SELECT FROM WHERE", "--view", view);
    refused("top-p is 2.0", "SELECT ai_gen(text) FROM t", "--view", view, "--top-p", "2");
    refused(
        "allowed-token-ids has 1000000",
        "SELECT ai_gen(text, map('allowed_token_ids', '3,1000000')) FROM t",
        "--view",
        view);
    refused("--view is rows.jsonl", "SELECT 1", "--view", "rows.jsonl");
    refused("--view is a-b=rows.jsonl", "SELECT 1", "--view", "a-b=rows.jsonl");
    refused("--statement is given twice", "SELECT 1", "--statement", "SELECT 2");
    refused("a file, a folder or a glob", "SELECT 1", "--view", "t=" + path("absent.jsonl"));
    refused("exists: add --overwrite", "SELECT 1", "--output", folder.toString());
  }
}
