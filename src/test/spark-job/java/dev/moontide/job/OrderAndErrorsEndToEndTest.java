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
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** {@code --preserve-order} and {@code --max-errors}. */
class OrderAndErrorsEndToEndTest extends EndToEnd {
  /** A row whose prompt is {@code id} words long, so that rows finish in another order. */
  private static String line(int id) {
    return "{\"id\": %d, \"text\": \"%s\"}".formatted(id, "word ".repeat(1 + (id * 37) % 23));
  }

  @Test
  void rowsKeepTheInputsOrder() {
    // The second file is the longer one, which Spark reads first.
    write("a.jsonl", String.join("\n", IntStream.range(0, 40).mapToObj(i -> line(i)).toList()));
    write("b.jsonl", String.join("\n", IntStream.range(40, 200).mapToObj(i -> line(i)).toList()));
    String[] options = {
      "--input",
      path("*.jsonl"),
      "--prompt",
      "{{ text }}",
      "--max-tokens",
      "2",
      "--partitions",
      "3",
    };
    done("generate", with(options, "--output", path("any")));
    done("generate", with(options, "--output", path("ordered"), "--preserve-order"));
    List<Long> ids =
        output("ordered").select("id").collectAsList().stream().map(row -> row.getLong(0)).toList();
    assertEquals(LongStream.range(0, 200).boxed().toList(), ids);
    assertEquals(sorted("any"), sorted("ordered"));
    assertEquals(List.of(output("any").columns()), List.of(output("ordered").columns()));
    assertFalse(Files.exists(folder.resolve("_ordered.moontide/unordered")));
  }

  private static String[] with(String[] options, String... more) {
    return Stream.concat(Stream.of(options), Stream.of(more)).toArray(String[]::new);
  }

  @Test
  void tooManyErrorsEndTheJob() {
    List<String> lines = new ArrayList<>();
    for (int i = 0; i < 20; i++) {
      lines.add("{\"id\": %d, \"ids\": %s}".formatted(i, i % 4 == 0 ? "null" : "[5, " + i + "]"));
    }
    String[] options = {
      "--input",
      write("in.jsonl", String.join("\n", lines)),
      "--ids-column",
      "ids",
      "--max-tokens",
      "1",
      "--output",
      path("out"),
      "--max-errors",
    };
    for (String limit : List.of("4", "24.9%")) {
      CommandLineRun run = run("generate", with(options, limit));
      assertEquals(1, run.status(), run.err());
      assertEquals(
          "moontide generate: 5 of 20 rows failed, more than --max-errors "
              + limit
              + ": 5 × column ids is null: an array is needed\n",
          run.err());
      assertFalse(Files.exists(folder.resolve("out")));
    }
    done("generate", with(options, "25%"));
    assertEquals(15, summary("out").get("reused").asInt());
    CommandLineRun run = run("generate", with(options, "lots"));
    assertEquals(2, run.status());
    assertTrue(run.err().contains("--max-errors is lots: allowed is"), run.err());
  }
}
