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

import java.util.ArrayDeque;
import java.util.NoSuchElementException;
import java.util.function.Function;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.catalyst.CatalystTypeConverters;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.types.StructType;
import org.jspecify.annotations.Nullable;
import scala.Function1;

/**
 * Finished rows on their way out: written to Arrow batches, which are read, in order, once they are
 * full or flushed, and freed when they are read. For one thread.
 */
final class OutputRows implements AutoCloseable {
  private final ArrowBatches batches;
  private final Function<InternalRow, Row> deserializer;

  private final ArrayDeque<ArrowBatch> readable = new ArrayDeque<>();
  private int read; // rows read of the first readable batch
  private @Nullable ArrowBatch open;
  private long bytes;

  private OutputRows(ArrowBatches batches, Function<InternalRow, Row> deserializer) {
    this.batches = batches;
    this.deserializer = deserializer;
  }

  /** No rows yet; their batches will belong to {@code allocator}. */
  static OutputRows of(StructType schema, BufferAllocator allocator) {
    // The code Spark generates for an encoder reads an element before asking whether it is null,
    // at which Arrow throws.
    Function1<Object, Object> converter = CatalystTypeConverters.createToScalaConverter(schema);
    return new OutputRows(
        new ArrowBatches(ArrowBatch.schema(schema), allocator), row -> (Row) converter.apply(row));
  }

  /** Copies {@code row}, which is about {@code rowBytes} long. */
  void add(InternalRow row, long rowBytes) {
    if (open != null && !open.hasRoomFor(rowBytes)) {
      flush();
    }
    if (open == null) {
      open = batches.take();
    }
    open.add(row, rowBytes);
    bytes += rowBytes;
  }

  /** Makes every row added so far readable. */
  void flush() {
    if (open != null) {
      open.finish();
      readable.add(open);
      open = null;
    }
  }

  /** Whether there is a row to read. */
  boolean hasNext() {
    return !readable.isEmpty();
  }

  /** Reads a row. */
  Row next() {
    ArrowBatch batch = readable.peek();
    if (batch == null) {
      throw new NoSuchElementException("no finished row");
    }
    Row row = deserializer.apply(batch.row(read++));
    if (read == batch.rows()) {
      readable.remove();
      read = 0;
      bytes -= batch.bytes();
      batches.giveBack(batch);
    }
    return row;
  }

  /** About how many bytes are in the batches that are not read to their end. */
  long bytes() {
    return bytes;
  }

  @Override
  public void close() {
    readable.forEach(ArrowBatch::close);
    readable.clear();
    if (open != null) {
      open.close();
      open = null;
    }
    batches.close();
  }
}
