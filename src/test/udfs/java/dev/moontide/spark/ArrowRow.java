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

import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.encoders.ExpressionEncoder;
import org.apache.spark.sql.types.StructType;
import scala.jdk.javaapi.CollectionConverters;

/** A row as a task sees it: in an Arrow batch. */
final class ArrowRow {
  private ArrowRow() {}

  /** What {@code function} makes of {@code row}. */
  static <T> T with(StructType schema, Row row, Function<InternalRow, T> function) {
    try (BufferAllocator allocator = new RootAllocator();
        InputRows rows =
            new InputRows(internal(schema, List.of(row).iterator()), schema, allocator)) {
      return function.apply(rows.row(rows.next()));
    }
  }

  /** Rows as Spark has them inside, each valid until the next. */
  static Iterator<InternalRow> internal(StructType schema, Iterator<Row> rows) {
    var serializer = ExpressionEncoder.apply(schema, true).createSerializer();
    return new Iterator<>() {
      @Override
      public boolean hasNext() {
        return rows.hasNext();
      }

      @Override
      public InternalRow next() {
        return serializer.apply((Row) withScalaValues(rows.next()));
      }
    };
  }

  /** Lists and maps in rows are Scala's, unless Spark makes the rows itself. */
  private static Object withScalaValues(Object value) {
    if (value instanceof Row row) {
      Object[] values = new Object[row.size()];
      for (int i = 0; i < values.length; i++) {
        values[i] = row.isNullAt(i) ? null : withScalaValues(row.get(i));
      }
      return RowFactory.create(values);
    }
    if (value instanceof List<?> list) {
      List<Object> values = new ArrayList<>(list);
      values.replaceAll(item -> item == null ? null : withScalaValues(item));
      return CollectionConverters.asScala(values).toSeq();
    }
    if (value instanceof Map<?, ?> map) {
      Map<Object, Object> values = new HashMap<>(map);
      values.replaceAll((key, item) -> withScalaValues(item));
      return CollectionConverters.asScala(values);
    }
    return value;
  }
}
