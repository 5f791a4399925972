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

import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.types.pojo.Schema;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.execution.arrow.ArrowWriter;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.util.ArrowUtils;
import org.apache.spark.sql.vectorized.ArrowColumnVector;
import org.apache.spark.sql.vectorized.ColumnVector;
import org.apache.spark.sql.vectorized.ColumnarBatch;

/**
 * Rows in Arrow vectors: first written, then, once {@link #finish}ed, read, and after {@link
 * #reset} written again. Bounded by rows and by bytes; a row larger than the bound has a batch of
 * its own. For one thread.
 */
final class ArrowBatch implements AutoCloseable {
  /**
   * Rows of a batch at most: enough that what a batch costs (some µs) vanishes in a row's share,
   * few enough that one slow row does not keep many finished ones in memory.
   */
  static final int MAX_ROWS = 256;

  /** Bytes of a batch at most, for the same reasons. */
  static final long MAX_BYTES = 1 << 20;

  private final VectorSchemaRoot root;
  private final ArrowWriter writer;
  private final ColumnarBatch columns;
  private int rows;
  private long bytes;

  ArrowBatch(Schema schema, BufferAllocator allocator) {
    root = VectorSchemaRoot.create(schema, allocator);
    try {
      for (FieldVector vector : root.getFieldVectors()) {
        vector.setInitialCapacity(MAX_ROWS);
      }
      writer = ArrowWriter.create(root);
    } catch (RuntimeException | Error e) {
      root.close();
      throw e;
    }
    columns =
        new ColumnarBatch(
            root.getFieldVectors().stream()
                .map(ArrowColumnVector::new)
                .toArray(ColumnVector[]::new));
  }

  /** The Arrow schema of {@code schema}; fails for a type that Arrow or Spark's writer lacks. */
  static Schema schema(StructType schema) {
    return ArrowUtils.toArrowSchema(schema, "UTC", true, false);
  }

  boolean hasRoomFor(long rowBytes) {
    return rows == 0 || (rows < MAX_ROWS && bytes + rowBytes <= MAX_BYTES);
  }

  /** Copies {@code row}, which is about {@code rowBytes} long. */
  void add(InternalRow row, long rowBytes) {
    writer.write(row);
    rows++;
    bytes += rowBytes;
  }

  /** Ends writing and begins reading. */
  void finish() {
    writer.finish();
    columns.setNumRows(rows);
  }

  /** Empties the batch, to be written again. */
  void reset() {
    writer.reset();
    rows = 0;
    bytes = 0;
  }

  /** Row {@code index}: a view that the next call moves on. */
  InternalRow row(int index) {
    return columns.getRow(index);
  }

  int rows() {
    return rows;
  }

  long bytes() {
    return bytes;
  }

  @Override
  public void close() {
    root.close();
  }
}
