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
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.zip.GZIPOutputStream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class DatasetReaderTest extends LocalSession {
  private static final long serialVersionUID = 1L;

  @TempDir static Path folder;

  @Test
  void aMalformedJsonLineIsARowOfNullsThatHoldsIt() throws Exception {
    Path file =
        write("bad.jsonl", "{\"a\": 1, \"text\": \"x\"}\n{\"a\": 2, \"text\": \"y\n{\"a\":3}\n");
    List<Row> rows = read(file.toString()).orderBy("a").collectAsList();
    assertEquals(3, rows.size());
    Row malformed = rows.get(0);
    assertTrue(malformed.isNullAt(malformed.fieldIndex("a")));
    assertTrue(malformed.isNullAt(malformed.fieldIndex("text")));
    assertEquals("{\"a\": 2, \"text\": \"y", malformed.getAs(DatasetReader.MALFORMED));
    assertEquals("x", rows.get(1).getAs("text"));
    assertTrue(rows.get(1).isNullAt(rows.get(1).fieldIndex(DatasetReader.MALFORMED)));
  }

  @Test
  void aFileWithoutOneJsonLineIsRefused() throws Exception {
    Path file = write("none.jsonl", "not json\nnor this\n");
    String told =
        String.valueOf(
            assertThrows(MoontideException.class, () -> read(file.toString())).getMessage());
    assertTrue(told.contains(file.toString()) && told.contains("no line is a JSON object"));
  }

  @Test
  void aWellFormedFileHasNoColumnForMalformedLines() throws Exception {
    Path file = write("good.jsonl", "{\"b.c\": 1, \"text\": \"x\"}\n");
    assertEquals(List.of("b.c", "text"), Arrays.asList(read(file.toString()).columns()));
  }

  @Test
  void csvIsReadAsItIsDefined() throws Exception {
    Path file =
        write(
            "a.csv",
            """
            id,text
            007,"two
            lines"
            8,"a ""quoted"" word, a comma and \\ a backslash"
            9,too,many
            """);
    List<Row> rows = read(file.toString()).orderBy("id").collectAsList();
    assertEquals(3, rows.size());
    assertEquals("9,too,many", rows.get(0).getAs(DatasetReader.MALFORMED));
    assertTrue(rows.get(0).isNullAt(0));
    assertEquals("007", rows.get(1).getAs("id"));
    assertEquals("two\nlines", rows.get(1).getAs("text"));
    assertEquals("a \"quoted\" word, a comma and \\ a backslash", rows.get(2).getAs("text"));
  }

  @Test
  void separatorsAndHeadersAreTheReadersOptions() throws Exception {
    Path file = write("b.csv", "1;x\n2;y\n");
    Dataset<Row> rows =
        read(file.toString(), "input-option", "sep=;", "header=false").select("_c1").orderBy("_c1");
    assertEquals(List.of("x", "y"), texts(rows));
    Path tabs = write("c.tsv", "id\ttext\n1\tx\n");
    assertEquals(List.of("x"), texts(read(tabs.toString()).select("text")));
  }

  @Test
  void textFilesHaveAColumnText() throws Exception {
    Path file = write("lines.txt", "one\ntwo\n");
    assertEquals(
        List.of("one", "two"), texts(read(file.toString()).select("text").orderBy("text")));
  }

  @Test
  void foldersGlobsSeveralFilesAndCompressedFilesAreRead() throws Exception {
    write("many/part-0.jsonl", "{\"text\": \"a\"}\n");
    write("many/part-1.jsonl", "{\"text\": \"b\"}\n");
    write("many/_SUCCESS", "");
    compressed("more.jsonl.gz", "{\"text\": \"c\"}\n");
    String many = folder.resolve("many").toString();
    String more = folder.resolve("more.jsonl.gz").toString();
    assertEquals(List.of("a", "b"), texts(read(many).orderBy("text")));
    assertEquals(List.of("b"), texts(read(many + "/*-1.jsonl").orderBy("text")));
    Dataset<Row> all =
        new DatasetReader(session()).read(input(List.of(many, more), Map.of()), false);
    assertEquals(List.of("a", "b", "c"), texts(all.orderBy("text")));
  }

  @Test
  void parquetAndOrcKeepTheirTypes() {
    for (String format : List.of("parquet", "orc")) {
      String path = folder.resolve("numbers." + format).toString();
      session()
          .range(10)
          .selectExpr("id", "array(id, id + 1) as ids")
          .write()
          .format(format)
          .save(path);
      Dataset<Row> rows = read(path);
      assertEquals("bigint,array<bigint>", types(rows));
      assertEquals(10, rows.count());
    }
  }

  @Test
  void whereAndLimitChooseRowsAndSmallInputsFillTheCores() throws Exception {
    Path file = write("chosen.jsonl", lines(100));
    assertEquals(30, read(file.toString(), "where", "n >= 70").count());
    assertEquals(7, read(file.toString(), "limit", "7").count());
    assertEquals(2, read(file.toString()).rdd().getNumPartitions());
    assertEquals(2, read(file.toString(), "limit", "7").rdd().getNumPartitions());
    assertEquals(5, read(file.toString(), "partitions", "5").rdd().getNumPartitions());
  }

  @Test
  void aLimitTakesTheFirstRowsAsTheyAreRead() throws Exception {
    for (int part = 0; part < 6; part++) {
      write("limited/part-" + part + ".jsonl", lines(40 + part).replace("row", part + " row"));
    }
    session().conf().set("spark.sql.files.openCostInBytes", Integer.toString(1 << 26));
    String path = folder.resolve("limited").toString();
    List<String> all = texts(read(path).select("text"));
    Dataset<Row> first = read(path, "limit", "130");
    assertEquals(sorted(all.subList(0, 130)), sorted(texts(first.select("text"))));
    assertEquals(List.of("n", "text"), Arrays.asList(first.columns()));
    session().conf().unset("spark.sql.files.openCostInBytes");
  }

  private static List<String> sorted(List<String> texts) {
    return texts.stream().sorted().toList();
  }

  @Test
  void aMalformedLineFailsWhoeverReadsIt() throws Exception {
    Path file = write("view.jsonl", "{\"a\": 1, \"text\": \"x\"}\n{\"a\": 2, \"text\": \"y\n");
    Dataset<Row> rows =
        new DatasetReader(session()).readWellFormed(input(List.of(file.toString()), Map.of()));
    assertEquals(List.of("a", "text"), Arrays.asList(rows.columns()));
    String told =
        String.valueOf(assertThrows(Exception.class, () -> rows.collectAsList()).getMessage());
    assertTrue(told.contains("malformed line") && told.contains("mode=DROPMALFORMED"));
    assertTrue(told.contains("\"text\": \"y"));
    assertEquals(
        List.of("x"),
        texts(
            new DatasetReader(session())
                .readWellFormed(
                    input(
                        List.of(file.toString()),
                        Map.of("input-option", List.of("mode=DROPMALFORMED"))))
                .select("text")));
  }

  @Test
  void rowsAreCountedWhereThatIsCheap() throws Exception {
    Path file = write("counted.jsonl", lines(20));
    RowCount count = new RowCount(session());
    List<String> paths = List.of(file.toString());
    assertEquals(20, count.of(input(paths, Map.of())).orElseThrow());
    assertEquals(5, count.of(input(paths, Map.of("limit", List.of("5")))).orElseThrow());
    assertTrue(count.of(input(paths, Map.of("where", List.of("n > 5")))).isEmpty());
  }

  @ParameterizedTest
  @ValueSource(strings = {"nothing.jsonl", "nothing/*.jsonl", "no-extension"})
  void aMissingInputIsTold(String name) {
    MoontideException error =
        assertThrows(MoontideException.class, () -> read(folder.resolve(name).toString()));
    assertEquals(MoontideException.Category.CONFIGURATION, error.category());
    assertTrue(String.valueOf(error.getMessage()).contains(name));
  }

  @Test
  void anUnknownFormatAndABadConditionAreTold() throws Exception {
    Path unknown = write("data.xyz", "x\n");
    MoontideException format =
        assertThrows(MoontideException.class, () -> read(unknown.toString()));
    assertTrue(String.valueOf(format.getMessage()).contains("--input-format"));
    Path file = write("where.jsonl", lines(2));
    MoontideException where =
        assertThrows(
            MoontideException.class, () -> read(file.toString(), "where", "nosuchcolumn = 1"));
    assertTrue(String.valueOf(where.getMessage()).contains("nosuchcolumn"));
    assertEquals(MoontideException.Category.CONFIGURATION, where.category());
  }

  private static String lines(int rows) {
    StringBuilder lines = new StringBuilder();
    IntStream.range(0, rows)
        .forEach(n -> lines.append("{\"n\": %d, \"text\": \"row %d\"}\n".formatted(n, n)));
    return lines.toString();
  }

  private Dataset<Row> read(String path, String... option) {
    Map<String, List<String>> options =
        option.length == 0
            ? Map.of()
            : Map.of(option[0], Arrays.asList(option).subList(1, option.length));
    return new DatasetReader(session()).read(input(List.of(path), options), false);
  }

  private static InputOptions input(List<String> paths, Map<String, List<String>> options) {
    Map<String, List<String>> values = new LinkedHashMap<>(options);
    values.put("input", paths);
    return InputOptions.of(new Values(values));
  }

  private static List<String> texts(Dataset<Row> rows) {
    return rows.collectAsList().stream().map(row -> row.<String>getAs(0)).toList();
  }

  private static String types(Dataset<Row> rows) {
    return String.join(
        ",", Arrays.stream(rows.schema().fields()).map(f -> f.dataType().catalogString()).toList());
  }

  private static Path write(String name, String text) throws IOException {
    Path file = folder.resolve(name);
    Files.createDirectories(file.getParent());
    return Files.writeString(file, text);
  }

  private static void compressed(String name, String text) throws IOException {
    try (OutputStream stream = new GZIPOutputStream(Files.newOutputStream(folder.resolve(name)))) {
      stream.write(text.getBytes(StandardCharsets.UTF_8));
    }
  }
}
