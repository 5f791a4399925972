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
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The same rows in each format in and out get the same labels. */
class FormatsEndToEndTest extends EndToEnd {
  private static final Map<String, String> LABEL_OF_TEXT =
      new TreeMap<>(
          Map.of(
              "how do you say hello, in spanish", "translate",
              "what is my \"account\" balance", "balance",
              "will it rain today", "weather"));

  private String input(String format) {
    List<Row> rows = LABEL_OF_TEXT.keySet().stream().map(RowFactory::create).toList();
    Dataset<Row> texts =
        session().createDataFrame(rows, new StructType().add("text", DataTypes.StringType));
    String path = path("in");
    switch (format) {
      case "csv" -> texts.write().option("header", true).option("escape", "\"").csv(path);
      case "jsonl" -> texts.write().json(path);
      default -> texts.write().format(format).save(path);
    }
    return path;
  }

  @ParameterizedTest
  @CsvSource({"jsonl, parquet", "csv, jsonl", "parquet, csv", "text, parquet"})
  void everyFormatGoesInAndOut(String in, String out) throws Exception {
    String[] options = {
      "--input",
      input(in),
      "--input-format",
      in,
      "--labels-file",
      LABELS,
      "--system",
      "Label the intent of the request.",
      "--output",
      path("out." + out)
    };
    done("label", options);
    Map<String, String> labels = new TreeMap<>();
    for (Row row : read(out).collectAsList()) {
      labels.put(row.getAs("text"), row.getAs("label"));
      assertTrue(row.isNullAt(row.fieldIndex("error")));
      Object probabilities = row.getAs("label_probabilities");
      if (out.equals("csv")) {
        assertEquals(150, new ObjectMapper().readTree((String) probabilities).size());
      }
    }
    assertEquals(LABEL_OF_TEXT, labels);
    assertEquals(3, summary("out." + out).get("rows").asInt());
  }

  private Dataset<Row> read(String format) {
    String path = path("out." + format);
    return switch (format) {
      case "csv" -> session().read().option("header", true).option("escape", "\"").csv(path);
      case "jsonl" -> session().read().json(path);
      default -> session().read().parquet(path);
    };
  }
}
