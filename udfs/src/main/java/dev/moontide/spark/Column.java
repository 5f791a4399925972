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

import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.IntegralType;
import org.apache.spark.sql.types.StringType;
import org.apache.spark.sql.types.StructType;
import org.jspecify.annotations.Nullable;

/**
 * A column's place in a row.
 *
 * @param name its name
 * @param ordinal its place, from 0
 * @param type its type
 */
record Column(String name, int ordinal, DataType type) {
  /** The column {@code name} of {@code schema}, which has it. */
  static Column of(StructType schema, String name) {
    int ordinal = schema.fieldIndex(name);
    return new Column(name, ordinal, schema.apply(ordinal).dataType());
  }

  /** Whether {@link #text} reads {@code type}. */
  static boolean isText(DataType type) {
    return type instanceof StringType || type instanceof IntegralType;
  }

  /** A string or a whole number as text; null if it is null. */
  @Nullable String text(InternalRow row) {
    return row.isNullAt(ordinal) ? null : String.valueOf(row.get(ordinal, type));
  }
}
