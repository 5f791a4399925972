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

import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.apache.spark.sql.catalyst.util.MapData;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.BooleanType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DateType;
import org.apache.spark.sql.types.Decimal;
import org.apache.spark.sql.types.MapType;
import org.apache.spark.sql.types.NullType;
import org.apache.spark.sql.types.NumericType;
import org.apache.spark.sql.types.StringType;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.types.TimestampNTZType;
import org.apache.spark.sql.types.TimestampType;
import org.jspecify.annotations.Nullable;

/**
 * Spark's values as templates know them: strings, numbers, booleans, lists, and maps by field name
 * or by the text of a key. Dates and times become text in ISO 8601, times with a zone in UTC, so
 * that a prompt does not depend on the session's zone.
 */
public final class CatalystValues {
  private CatalystValues() {}

  /** Whether {@link #toJava} converts {@code type}. */
  static boolean isConvertible(DataType type) {
    if (type instanceof ArrayType array) {
      return isConvertible(array.elementType());
    }
    if (type instanceof MapType map) {
      return isConvertible(map.keyType()) && isConvertible(map.valueType());
    }
    if (type instanceof StructType struct) {
      return Arrays.stream(struct.fields()).allMatch(field -> isConvertible(field.dataType()));
    }
    return type instanceof StringType
        || type instanceof NumericType
        || type instanceof BooleanType
        || type instanceof DateType
        || type instanceof TimestampType
        || type instanceof TimestampNTZType
        || type instanceof NullType;
  }

  /**
   * Converts a value of {@code type}.
   *
   * @param value as in an {@link InternalRow}
   */
  public static @Nullable Object toJava(@Nullable Object value, DataType type) {
    if (value == null || value instanceof Boolean) {
      return value;
    }
    if (value instanceof Decimal decimal) {
      return decimal.toJavaBigDecimal();
    }
    if (type instanceof DateType && value instanceof Integer days) {
      return LocalDate.ofEpochDay(days).toString();
    }
    if (type instanceof TimestampType && value instanceof Long micros) {
      return instant(micros).toString();
    }
    if (type instanceof TimestampNTZType && value instanceof Long micros) {
      return LocalDateTime.ofInstant(instant(micros), ZoneOffset.UTC).toString();
    }
    if (value instanceof Number) {
      return value;
    }
    if (type instanceof ArrayType arrayType && value instanceof ArrayData array) {
      return list(array, arrayType.elementType());
    }
    if (type instanceof MapType mapType && value instanceof MapData map) {
      return map(map, mapType);
    }
    if (type instanceof StructType struct && value instanceof InternalRow row) {
      return struct(row, struct);
    }
    return value.toString();
  }

  private static Instant instant(long micros) {
    return Instant.EPOCH.plus(micros, ChronoUnit.MICROS);
  }

  private static List<@Nullable Object> list(ArrayData array, DataType elementType) {
    List<@Nullable Object> values = new ArrayList<>(array.numElements());
    for (int i = 0; i < array.numElements(); i++) {
      values.add(array.isNullAt(i) ? null : toJava(array.get(i, elementType), elementType));
    }
    return values;
  }

  private static Map<String, @Nullable Object> map(MapData map, MapType type) {
    List<@Nullable Object> keys = list(map.keyArray(), type.keyType());
    List<@Nullable Object> values = list(map.valueArray(), type.valueType());
    Map<String, @Nullable Object> converted = new LinkedHashMap<>();
    for (int i = 0; i < keys.size(); i++) {
      converted.put(String.valueOf(keys.get(i)), values.get(i));
    }
    return converted;
  }

  private static Map<String, @Nullable Object> struct(InternalRow row, StructType type) {
    Map<String, @Nullable Object> converted = new LinkedHashMap<>();
    for (int i = 0; i < type.size(); i++) {
      StructField field = type.apply(i);
      converted.put(
          field.name(),
          row.isNullAt(i) ? null : toJava(row.get(i, field.dataType()), field.dataType()));
    }
    return converted;
  }
}
