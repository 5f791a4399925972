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
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.math.BigDecimal;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

class CatalystValuesTest {
  private static @Nullable Object convert(DataType type, Object value) {
    StructType schema = new StructType().add("v", type);
    assertTrue(CatalystValues.isConvertible(type));
    return ArrowRow.with(
        schema, RowFactory.create(value), row -> Column.of(schema, "v").value(row));
  }

  @Test
  void plainValuesKeepTheirKind() {
    assertEquals("héllo", convert(DataTypes.StringType, "héllo"));
    assertEquals(true, convert(DataTypes.BooleanType, true));
    assertEquals(5L, convert(DataTypes.LongType, 5L));
    assertEquals((byte) 5, convert(DataTypes.ByteType, (byte) 5));
    assertEquals(0.5, convert(DataTypes.DoubleType, 0.5));
    assertEquals(
        new BigDecimal("1.50"),
        convert(DataTypes.createDecimalType(10, 2), new BigDecimal("1.50")));
  }

  @Test
  void datesAndTimesAreTextInIso8601() {
    assertEquals("1500-02-28", convert(DataTypes.DateType, LocalDate.of(1500, 2, 28)));
    assertEquals(
        "2026-03-01T12:00:00.000001Z",
        convert(DataTypes.TimestampType, Instant.parse("2026-03-01T12:00:00.000001Z")));
    assertEquals(
        "1969-12-31T23:59:59.999999Z",
        convert(DataTypes.TimestampType, Instant.parse("1969-12-31T23:59:59.999999Z")));
    assertEquals(
        "2026-03-01T12:00",
        convert(DataTypes.TimestampNTZType, LocalDateTime.of(2026, 3, 1, 12, 0)));
  }

  @Test
  void nestedValuesAreListsAndMaps() {
    StructType struct =
        new StructType().add("a", DataTypes.IntegerType).add("b", DataTypes.DateType);
    Map<String, @Nullable Object> expected = new LinkedHashMap<>();
    expected.put("a", null);
    expected.put("b", "2026-01-02");
    assertEquals(
        Arrays.asList(expected, null),
        convert(
            DataTypes.createArrayType(struct),
            Arrays.asList(RowFactory.create(null, LocalDate.of(2026, 1, 2)), null)));
    assertEquals(
        Map.of("1", List.of("x"), "2", List.of()),
        convert(
            DataTypes.createMapType(
                DataTypes.IntegerType, DataTypes.createArrayType(DataTypes.StringType)),
            Map.of(1, List.of("x"), 2, List.of())));
  }

  @Test
  void bytesAreNoText() {
    assertFalse(CatalystValues.isConvertible(DataTypes.BinaryType));
    assertFalse(
        CatalystValues.isConvertible(
            new StructType().add("a", DataTypes.createArrayType(DataTypes.BinaryType))));
  }
}
