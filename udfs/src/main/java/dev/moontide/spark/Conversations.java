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

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.moontide.api.MoontideException;
import dev.moontide.tokenizer.ChatMessage;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.StringType;
import org.apache.spark.sql.types.StructType;
import org.jspecify.annotations.Nullable;

/**
 * Reads a row's conversation: an array of structs, or OpenAI's messages as JSON text, whose content
 * may also be a list of parts of type text.
 */
final class Conversations {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final List<String> FIELDS = List.of("role", "content", "name", "tool_call_id");

  private final Column column;

  Conversations(Column column) {
    this.column = column;
  }

  /** Whether a column of {@code type} can hold conversations. */
  static boolean isReadable(DataType type) {
    if (type instanceof ArrayType array && array.elementType() instanceof StructType struct) {
      List<String> names = Arrays.asList(struct.fieldNames());
      return names.contains("role")
          && names.contains("content")
          && FIELDS.stream()
              .filter(names::contains)
              .allMatch(name -> struct.apply(name).dataType() instanceof StringType);
    }
    return type instanceof StringType;
  }

  /**
   * The row's messages, at least one.
   *
   * @throws MoontideException of category row
   */
  List<ChatMessage> read(InternalRow row) {
    if (row.isNullAt(column.ordinal())) {
      throw MoontideException.row("column %s is null: a conversation is needed", column.name());
    }
    List<ChatMessage> messages =
        column.type() instanceof ArrayType array
            ? fromStructs(row.getArray(column.ordinal()), (StructType) array.elementType())
            : fromJson(row.getUTF8String(column.ordinal()).toString());
    if (messages.isEmpty()) {
      throw MoontideException.row(
          "column %s has no messages: at least one is needed", column.name());
    }
    return messages;
  }

  private List<ChatMessage> fromStructs(ArrayData array, StructType type) {
    List<ChatMessage> messages = new ArrayList<>(array.numElements());
    for (int i = 0; i < array.numElements(); i++) {
      if (array.isNullAt(i)) {
        throw wrong(i, "null", "a message");
      }
      InternalRow struct = array.getStruct(i, type.size());
      List<@Nullable String> fields = new ArrayList<>(FIELDS.size());
      for (String name : FIELDS) {
        scala.Option<Object> place = type.getFieldIndex(name);
        int ordinal = place.isDefined() ? (Integer) place.get() : -1;
        fields.add(
            ordinal < 0 || struct.isNullAt(ordinal)
                ? null
                : struct.getUTF8String(ordinal).toString());
      }
      messages.add(message(i, fields));
    }
    return messages;
  }

  private List<ChatMessage> fromJson(String text) {
    JsonNode root;
    try {
      root = JSON.readTree(text);
    } catch (JsonProcessingException e) {
      throw MoontideException.row(
          "column %s is not JSON: %s", column.name(), e.getOriginalMessage());
    }
    JsonNode array = root.isObject() ? root.path("messages") : root;
    if (!array.isArray()) {
      throw MoontideException.row(
          "column %s should hold a JSON array of messages, and holds %s",
          column.name(), root.getNodeType());
    }
    List<ChatMessage> messages = new ArrayList<>(array.size());
    for (int i = 0; i < array.size(); i++) {
      JsonNode object = array.get(i);
      if (!object.isObject()) {
        throw wrong(i, object.toString(), "an object with role and content");
      }
      List<@Nullable String> fields = new ArrayList<>(FIELDS.size());
      for (String name : FIELDS) {
        fields.add(text(i, name, object.path(name)));
      }
      messages.add(message(i, fields));
    }
    return messages;
  }

  private @Nullable String text(int index, String field, JsonNode value) {
    if (value.isMissingNode() || value.isNull()) {
      return null;
    }
    if (value.isTextual()) {
      return value.textValue();
    }
    if (!field.equals("content") || !value.isArray()) {
      throw wrong(index, field + " " + value, "text");
    }
    StringBuilder text = new StringBuilder();
    for (JsonNode part : value) {
      if (!part.path("type").asText().equals("text") || !part.path("text").isTextual()) {
        throw wrong(index, "a content part " + part, "a part of type text");
      }
      text.append(part.path("text").textValue());
    }
    return text.toString();
  }

  private ChatMessage message(int index, List<@Nullable String> fields) {
    String role = fields.get(0);
    String content = fields.get(1);
    if (role == null || content == null) {
      throw wrong(index, "no " + (role == null ? "role" : "content"), "both");
    }
    return new ChatMessage(role, content, fields.get(2), fields.get(3));
  }

  private MoontideException wrong(int index, String found, String expected) {
    return MoontideException.row(
        "column %s: message %d has %s: it should be %s", column.name(), index, found, expected);
  }
}
