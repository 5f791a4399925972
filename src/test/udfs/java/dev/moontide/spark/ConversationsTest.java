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

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.api.MoontideException;
import dev.moontide.tokenizer.ChatMessage;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ConversationsTest {
  private static final StructType JSON = new StructType().add("m", DataTypes.StringType);

  /** Fields in another order than they are read in, one of no interest, one missing. */
  private static final StructType MESSAGE =
      new StructType()
          .add("content", DataTypes.StringType)
          .add("weight", DataTypes.DoubleType)
          .add("name", DataTypes.StringType)
          .add("role", DataTypes.StringType);

  private static final StructType STRUCTS =
      new StructType().add("m", DataTypes.createArrayType(MESSAGE));

  private static List<ChatMessage> read(StructType schema, Object value) {
    return ArrowRow.with(
        schema,
        RowFactory.create(value),
        row -> new Conversations(Column.of(schema, "m")).read(row));
  }

  private static String error(StructType schema, Object value) {
    MoontideException e = assertThrows(MoontideException.class, () -> read(schema, value));
    assertEquals(MoontideException.Category.ROW, e.category());
    return String.valueOf(e.getMessage());
  }

  @Test
  void jsonIsReadAsOpenAiWritesIt() {
    String json =
        """
        [{"role": "system", "content": "s"},
         {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
          "name": "Ann", "other": 1},
         {"role": "tool", "content": "", "tool_call_id": "c1"}]""";
    List<ChatMessage> expected =
        List.of(
            ChatMessage.of("system", "s"),
            new ChatMessage("user", "ab", "Ann", null),
            new ChatMessage("tool", "", null, "c1"));
    assertEquals(expected, read(JSON, json));
    assertEquals(expected, read(JSON, "{\"messages\": " + json + "}"));
  }

  @Test
  void structsAreReadByTheNamesOfTheirFields() {
    Row first = RowFactory.create("s", 1.0, null, "system");
    Row second = RowFactory.create("hello", null, "Ann", "user");
    assertEquals(
        List.of(ChatMessage.of("system", "s"), new ChatMessage("user", "hello", "Ann", null)),
        read(STRUCTS, List.of(first, second)));
    assertEquals(
        "column m: message 1 has null: it should be a message",
        error(STRUCTS, Arrays.asList(first, null)));
    assertEquals(
        "column m: message 0 has no role: it should be both",
        error(STRUCTS, List.of(RowFactory.create("s", 1.0, null, null))));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      textBlock =
          """
          []                                   | column m has no messages: at least one is needed
          "hello"                              | column m should hold a JSON array of messages, and holds STRING
          [1]                                  | column m: message 0 has 1: it should be an object with role and content
          [{"role": "user"}]                   | column m: message 0 has no content: it should be both
          [{"role": "user", "content": 5}]     | column m: message 0 has content 5: it should be text
          [{"role": 5, "content": "c"}]        | column m: message 0 has role 5: it should be text
          [{"role": "user", "content": [{"type": "image_url"}]}] | column m: message 0 has a content part {"type":"image_url"}: it should be a part of type text
          """)
  void badJsonSaysWhere(String json, String message) {
    assertEquals(message, error(JSON, json));
  }

  @Test
  void whatIsNoJsonOrNoRoleIsTheRowsError() {
    assertTrue(error(JSON, "[{").startsWith("column m is not JSON: "));
    assertTrue(error(JSON, "[{\"role\": \"boss\", \"content\": \"c\"}]").contains("boss"));
  }

  @Test
  void columnsThatCannotHoldMessagesAreKnown() {
    DataType noContent =
        DataTypes.createArrayType(new StructType().add("role", DataTypes.StringType));
    DataType numbers =
        DataTypes.createArrayType(
            new StructType()
                .add("role", DataTypes.StringType)
                .add("content", DataTypes.IntegerType));
    assertTrue(Conversations.isReadable(DataTypes.StringType));
    assertTrue(Conversations.isReadable(STRUCTS.apply("m").dataType()));
    assertFalse(Conversations.isReadable(noContent));
    assertFalse(Conversations.isReadable(numbers));
    assertFalse(Conversations.isReadable(DataTypes.LongType));
  }
}
