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

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.api.MoontideException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class DatasetWriterTest extends LocalSession {
  private static final long serialVersionUID = 1L;

  @TempDir Path folder;

  @Test
  void jsonLinesHaveEveryColumn() throws Exception {
    write("out.jsonl");
    assertEquals(
        """
        {"id":0,"text":"a \\"b\\", c","error":null,"label_probabilities":{"x":0.25},"ids":[1,2]}
        """,
        content("out.jsonl", ".json"));
  }

  @Test
  void csvHoldsNestedValuesAsJson() throws Exception {
    write("out.csv");
    assertEquals(
        """
        id,text,error,label_probabilities,ids
        0,"a ""b"", c",,"{""x"":0.25}","[1,2]"
        """,
        content("out.csv", ".csv"));
  }

  @Test
  void csvThatWasWrittenReadsBack() {
    write("again.csv");
    InputOptions input =
        InputOptions.of(
            new Values(Map.of("input", List.of(folder.resolve("again.csv").toString()))));
    Row row = new DatasetReader(session()).read(input, false).collectAsList().get(0);
    assertEquals("a \"b\", c", row.getAs("text"));
    assertTrue(row.isNullAt(row.fieldIndex("error")));
  }

  @ParameterizedTest
  @CsvSource({
    "out, , parquet",
    "out.parquet, , parquet",
    "out.jsonl, , json",
    "out.csv, , csv",
    "out.csv, jsonl, json",
    "out.txt, , parquet",
    "v1.2, , parquet"
  })
  void theExtensionOrTheOptionNamesTheFormat(String path, String format, String source) {
    Map<String, List<String>> values = new LinkedHashMap<>(Map.of("output", List.of(path)));
    if (format != null) {
      values.put("output-format", List.of(format));
    }
    assertEquals(source, OutputTarget.of(new Values(values)).format().source());
  }

  @Test
  void whatIsThereStaysUnlessItMayBeReplaced() throws Exception {
    DatasetWriter writer = new DatasetWriter(session());
    List<String> input = List.of(folder.resolve("in.jsonl").toString());
    Path output = folder.resolve("out");
    assertDoesNotThrow(() -> writer.check(target(output), input, "--input"));
    Files.createDirectory(output);
    MoontideException exists =
        assertThrows(MoontideException.class, () -> writer.check(target(output), input, "--input"));
    assertTrue(String.valueOf(exists.getMessage()).contains("--overwrite"));
    assertDoesNotThrow(() -> writer.check(target(output, "overwrite"), input, "--input"));
  }

  @Test
  void theInputIsNeverReplaced() {
    DatasetWriter writer = new DatasetWriter(session());
    Path data = folder.resolve("data");
    for (Path output : List.of(data, folder, data.resolve("out"))) {
      MoontideException error =
          assertThrows(
              MoontideException.class,
              () -> writer.check(target(output, "overwrite"), List.of(data.toString()), "--input"));
      assertTrue(String.valueOf(error.getMessage()).contains("lie in one another"));
    }
    assertDoesNotThrow(
        () ->
            writer.check(
                target(folder.resolve("data2"), "overwrite"), List.of(data.toString()), "--input"));
  }

  private void write(String name) {
    Dataset<Row> rows =
        session()
            .range(1)
            .selectExpr(
                "id",
                "'a \"b\", c' as text",
                "cast(null as string) as error",
                "map('x', 0.25D) as label_probabilities",
                "array(1, 2) as ids");
    new DatasetWriter(session())
        .write(rows.coalesce(1), target(folder.resolve(name)), folder.resolve(name).toString());
  }

  private static OutputTarget target(Path path, String... flags) {
    Map<String, List<String>> values = new LinkedHashMap<>();
    values.put("output", List.of(path.toString()));
    Stream.of(flags).forEach(flag -> values.put(flag, List.of("true")));
    return OutputTarget.of(new Values(values));
  }

  private String content(String name, String extension) throws IOException {
    try (Stream<Path> files = Files.list(folder.resolve(name))) {
      Path part =
          files.filter(file -> file.toString().endsWith(extension)).findFirst().orElseThrow();
      return Files.readString(part);
    }
  }
}
