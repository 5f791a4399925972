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

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.io.Serializable;
import java.util.HashMap;
import java.util.Map;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.BooleanType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DoubleType;
import org.apache.spark.sql.types.LongType;
import org.apache.spark.sql.types.StringType;
import org.apache.spark.sql.types.StructType;
import org.jspecify.annotations.Nullable;

/**
 * Lines of JSON that add nothing to a schema Spark inferred from others: each value has the very
 * type of its column, or is null. Whatever Spark might take otherwise (an unknown field, a number
 * in a column of text, an empty text in one of numbers, a malformed line, a field that stands there
 * twice) does not fit. For one thread.
 */
final class JsonLines {
  private static final JsonFactory JSON = new JsonFactory();

  /** What a value must be. */
  private sealed interface Shape extends Serializable {
    record Scalar(DataType type) implements Shape {}

    record Items(Shape of) implements Shape {}

    record Fields(Map<String, Field> byName) implements Shape {}

    /** One that no value fits. */
    record Other() implements Shape {}
  }

  private record Field(int index, Shape shape) implements Serializable {}

  private final Shape row;

  JsonLines(StructType schema) {
    row = shape(schema);
  }

  private static Shape shape(DataType type) {
    if (type instanceof StructType struct) {
      Map<String, Field> fields = new HashMap<>();
      for (int i = 0; i < struct.size(); i++) {
        fields.put(struct.apply(i).name(), new Field(i, shape(struct.apply(i).dataType())));
      }
      return new Shape.Fields(fields);
    }
    if (type instanceof ArrayType array) {
      return new Shape.Items(shape(array.elementType()));
    }
    boolean scalar =
        type instanceof StringType
            || type instanceof LongType
            || type instanceof DoubleType
            || type instanceof BooleanType;
    return scalar ? new Shape.Scalar(type) : new Shape.Other();
  }

  /** Whether {@code line} is one JSON object that fits. */
  boolean fits(String line) {
    try (JsonParser parser = JSON.createParser(line)) {
      return parser.nextToken() == JsonToken.START_OBJECT
          && fits(parser, row)
          && parser.nextToken() == null;
    } catch (IOException malformed) {
      return false;
    }
  }

  /** Whether the value fits that begins with the current token; moves to its last. */
  private static boolean fits(JsonParser parser, Shape shape) throws IOException {
    if (shape instanceof Shape.Fields fields) {
      return parser.currentToken() == JsonToken.START_OBJECT && fit(parser, fields.byName());
    }
    if (shape instanceof Shape.Items items) {
      return parser.currentToken() == JsonToken.START_ARRAY && fit(parser, items.of());
    }
    return shape instanceof Shape.Scalar scalar && fits(parser, scalar.type());
  }

  private static boolean fit(JsonParser parser, Map<String, Field> fields) throws IOException {
    boolean[] seen = new boolean[fields.size()];
    for (String name = parser.nextFieldName(); name != null; name = parser.nextFieldName()) {
      Field field = fields.get(name);
      if (field == null || seen[field.index()]) {
        return false;
      }
      seen[field.index()] = true;
      if (parser.nextToken() != JsonToken.VALUE_NULL && !fits(parser, field.shape())) {
        return false;
      }
    }
    return parser.currentToken() == JsonToken.END_OBJECT;
  }

  private static boolean fit(JsonParser parser, Shape item) throws IOException {
    for (JsonToken token = parser.nextToken();
        token != JsonToken.END_ARRAY;
        token = parser.nextToken()) {
      if (token == null || (token != JsonToken.VALUE_NULL && !fits(parser, item))) {
        return false;
      }
    }
    return true;
  }

  private static boolean fits(JsonParser parser, DataType type) throws IOException {
    @Nullable JsonToken token = parser.currentToken();
    if (type instanceof StringType) {
      return token == JsonToken.VALUE_STRING;
    }
    if (type instanceof BooleanType) {
      return token == JsonToken.VALUE_TRUE || token == JsonToken.VALUE_FALSE;
    }
    if (token == JsonToken.VALUE_NUMBER_INT) {
      return parser.getNumberType() != JsonParser.NumberType.BIG_INTEGER;
    }
    return type instanceof DoubleType && token == JsonToken.VALUE_NUMBER_FLOAT;
  }
}
