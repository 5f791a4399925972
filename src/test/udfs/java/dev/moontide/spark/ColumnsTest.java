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

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.moontide.api.MoontideException;
import java.util.HashMap;
import java.util.Map;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ColumnsTest {
  private static final StructType SCHEMA =
      new StructType()
          .add("id", DataTypes.LongType)
          .add("text", DataTypes.StringType)
          .add("score", DataTypes.DoubleType)
          .add("raw", DataTypes.BinaryType)
          .add("ids", DataTypes.createArrayType(DataTypes.IntegerType));

  private static JobOptions options(String... options) {
    Map<String, String> map = new HashMap<>(Map.of("model", "m"));
    for (int i = 0; i < options.length; i += 2) {
      map.put(options[i], options[i + 1]);
    }
    return JobOptions.fromMap(map);
  }

  private static String error(StructType schema, String... options) {
    MoontideException e =
        assertThrows(MoontideException.class, () -> Columns.withAnswer(schema, options(options)));
    assertEquals(MoontideException.Category.CONFIGURATION, e.category());
    return String.valueOf(e.getMessage());
  }

  @Test
  void theAnswersColumnsFollowTheRows() {
    StructType rows = new StructType().add("text", DataTypes.StringType);
    assertArrayEquals(
        new String[] {
          "text",
          "response",
          "finish_reason",
          "error",
          "prompt_tokens",
          "cached_tokens",
          "completion_tokens"
        },
        Columns.withAnswer(rows, options("text-column", "text")).fieldNames());
    assertEquals(
        "label STRING,label_probability DOUBLE,label_probabilities MAP<STRING, DOUBLE>",
        tail(options("task", "label", "labels", "a")));
    assertEquals(
        "ai_token_logprobs ARRAY<FLOAT>,ai_logprob DOUBLE,ai_perplexity DOUBLE",
        tail(options("task", "score", "output-prefix", "ai_")));
  }

  private static String tail(JobOptions options) {
    StructType rows = new StructType().add("text", DataTypes.StringType);
    String ddl = Columns.withAnswer(rows, options).toDDL();
    return ddl.substring(ddl.indexOf("completion_tokens INT,") + "completion_tokens INT,".length());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          text-column     | txt                  | text-column names the column txt, which the rows do not have; they have id, text, score, raw, ids
          text-column     | id                   | text-column names the column id, which is of type BIGINT: it should be a string
          prompt          | {{ text }} {{ nme }} | prompt names the column nme, which the rows do not have; they have id, text, score, raw, ids
          prompt          | {{ raw }}            | prompt names the column raw, which is of type BINARY: it should be made of strings, numbers, booleans, dates and times
          ids-column      | text                 | ids-column names the column text, which is of type STRING: it should be an array of int or bigint
          messages-column | ids                  | messages-column names the column ids, which is of type ARRAY<INT>: it should be an array of struct<role string, content string, …>, or a string with JSON
          """)
  void aColumnThatCannotServeIsTold(String option, String value, String message) {
    assertEquals(message, error(SCHEMA, option, value));
  }

  @Test
  void theOtherColumnsAreCheckedToo() {
    assertEquals(
        "id-column names the column score, which is of type DOUBLE: it should be a string or a"
            + " whole number",
        error(SCHEMA, "text-column", "text", "id-column", "score"));
    assertEquals(
        "truth-column names the column intent, which the rows do not have; they have id, text,"
            + " score, raw, ids",
        error(SCHEMA, "task", "label", "labels", "a", "truth-column", "intent"));
    assertEquals(
        "choices-column names the column ids, which is of type ARRAY<INT>: it should be an array"
            + " of string",
        error(SCHEMA, "text-column", "text", "choices-column", "ids"));
    assertEquals(
        "system names the column tone, which the rows do not have; they have id, text, score, raw,"
            + " ids",
        error(SCHEMA, "text-column", "text", "system", "Be {{ tone }}."));
  }

  @Test
  void aColumnThatIsThereAlreadyNeedsAPrefix() {
    StructType rows = SCHEMA.add("Response", DataTypes.StringType);
    assertEquals(
        "the rows already have a column response, which the answer needs: rename it, or set"
            + " output-prefix to give the answer's columns other names",
        error(rows, "text-column", "text"));
    assertEquals(
        12,
        Columns.withAnswer(rows, options("text-column", "text", "output-prefix", "k2_")).size());
  }

  @Test
  void columnsThatCannotTravelAreTold() {
    assertEquals(
        "the rows have two columns named text: rename or drop one",
        error(SCHEMA.add("text", DataTypes.StringType), "text-column", "text"));
    StructType twice =
        new StructType().add("a", DataTypes.IntegerType).add("a", DataTypes.IntegerType);
    String message = error(SCHEMA.add("s", twice), "text-column", "text");
    assertEquals(
        "column s is of type STRUCT<a: INT, a: INT>, which cannot travel in Arrow batches",
        message.substring(0, message.indexOf(" (")));
  }
}
