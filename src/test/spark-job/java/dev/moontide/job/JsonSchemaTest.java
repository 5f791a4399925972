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
import java.util.List;
import java.util.Optional;
import java.util.Random;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class JsonSchemaTest extends LocalSession {
  private static final long serialVersionUID = 1L;

  @TempDir static Path folder;

  private static List<String> lines(int count) {
    Random random = new Random(5);
    List<String> lines = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      String optional = i % 7 == 0 ? ", \"note\": " + (i % 2 == 0 ? "null" : "\"n\"") : "";
      lines.add(
          ("{\"text\": \"t%d é\", \"n\": %d, \"x\": %s, \"b\": %b, \"ids\": [1, %d],"
                  + " \"messages\": [{\"role\": \"user\", \"content\": \"\"}]%s}")
              .formatted(
                  i, random.nextLong(), i % 3 == 0 ? "1" : "-2.5e3", i % 2 == 0, i, optional));
    }
    return lines;
  }

  private Optional<StructType> schema(List<String> lines) throws IOException {
    Path file = Files.write(folder.resolve("lines.jsonl"), lines);
    Optional<StructType> schema = JsonSchema.of(session(), new String[] {file.toString()}, 0);
    schema.ifPresent(known -> assertEquals(session().read().json(file.toString()).schema(), known));
    return schema;
  }

  @Test
  void itIsWhatSparkInfers() throws Exception {
    assertTrue(schema(lines(3000)).isPresent());
    assertTrue(schema(List.of("{\"a\": null}", "{}")).isPresent());
    assertFalse(
        JsonSchema.of(session(), new String[] {folder.resolve("lines.jsonl").toString()}, 1 << 20)
            .isPresent());
  }

  @Test
  void aLineThatMightChangeItIsLeftToSpark() throws Exception {
    for (String line :
        List.of(
            "{\"new\": 1}",
            "{\"text\": 1}",
            "{\"n\": \"\"}",
            "{\"n\": 1.5}",
            "{\"n\": 12345678901234567890}",
            "{\"b\": 0}",
            "{\"x\": NaN}",
            "{\"n\": 1, \"n\": 2}",
            "{\"ids\": 1}",
            "{\"ids\": [\"a\"]}",
            "{\"messages\": [{\"role\": \"user\", \"name\": \"x\"}]}",
            "{\"messages\": {}}",
            "{\"n\": 1",
            "{\"n\": 1} {\"n\": 2}",
            "[{\"n\": 1}]",
            "[]",
            "1",
            "null",
            "",
            "\uFEFF{\"n\": 1}")) {
      List<String> lines = lines(1500);
      lines.add(1200, line);
      assertEquals(Optional.empty(), schema(lines), line);
    }
  }

  @Test
  void aLineThatChangesNothingFits() {
    JsonLines known =
        new JsonLines(StructType.fromDDL("n BIGINT, x DOUBLE, m ARRAY<ARRAY<STRING>>"));
    for (String line :
        List.of(
            "{}",
            " {\"n\": -9223372036854775808, \"x\": 7} ",
            "{\"m\": [], \"n\": null}",
            "{\"m\": [[\"a\", null], null, []]}")) {
      assertTrue(known.fits(line));
    }
    assertFalse(known.fits("{\"m\": [[\"a\"], \"b\"]}"));
    assertFalse(new JsonLines(StructType.fromDDL("d DECIMAL(20, 0)")).fits("{\"d\": 1}"));
  }
}
