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

import dev.moontide.api.ChoiceSet;
import java.util.Iterator;
import java.util.NoSuchElementException;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.UnsafeProjection;
import org.apache.spark.sql.catalyst.expressions.UnsafeRow;
import org.apache.spark.sql.types.StructType;
import org.jspecify.annotations.Nullable;

/**
 * A partition's rows, drawn into Arrow batches as they are asked for, and kept until they are
 * released; a batch is freed with its last row. A row's id is its batch's number times {@link
 * ArrowBatch#MAX_ROWS} plus its place in the batch. For one thread.
 */
final class InputRows implements AutoCloseable {
  private static final class Batch {
    final ArrowBatch arrow;
    final long[] rowBytes = new long[ArrowBatch.MAX_ROWS];
    final @Nullable ChoiceSet[] choices = new ChoiceSet[ArrowBatch.MAX_ROWS];
    final int[] cachedTokens = new int[ArrowBatch.MAX_ROWS];
    int drawn;
    int released;

    Batch(ArrowBatch arrow) {
      this.arrow = arrow;
    }
  }

  private final Iterator<InternalRow> rows;
  private final UnsafeProjection unsafe;
  private final ArrowBatches arrowBatches;

  /** Those from number {@link #first} to {@link #batchCount}; a number's last bits say where. */
  private @Nullable Batch[] batches = new Batch[16];

  private long first;
  private long batchCount;

  /** The batch rows are drawn from; null once they all are. */
  private @Nullable Batch current;

  /** A row that had no room in the current batch: the iterator's own, until its next call. */
  private @Nullable UnsafeRow ahead;

  /**
   * @param rows each valid until the next
   * @param schema their columns
   * @param allocator what their batches belong to
   */
  InputRows(Iterator<InternalRow> rows, StructType schema, BufferAllocator allocator) {
    this.rows = rows;
    unsafe = UnsafeProjection.create(schema);
    arrowBatches = new ArrowBatches(ArrowBatch.schema(schema), allocator);
  }

  boolean hasNext() {
    return current != null || ahead != null || rows.hasNext();
  }

  /** Draws a row and returns its id. */
  long next() {
    if (!hasNext()) {
      throw new NoSuchElementException("every row of the partition has been drawn");
    }
    Batch batch = current == null ? fill() : current;
    long id = (batchCount - 1) * ArrowBatch.MAX_ROWS + batch.drawn++;
    current = batch.drawn == batch.arrow.rows() ? null : batch;
    return id;
  }

  private Batch fill() {
    Batch batch = new Batch(arrowBatches.take());
    put(batch);
    while (true) {
      if (ahead == null && rows.hasNext()) {
        InternalRow row = rows.next();
        ahead = row instanceof UnsafeRow known ? known : unsafe.apply(row);
      }
      if (ahead == null || !batch.arrow.hasRoomFor(ahead.getSizeInBytes())) {
        break;
      }
      batch.rowBytes[batch.arrow.rows()] = ahead.getSizeInBytes();
      batch.arrow.add(ahead, ahead.getSizeInBytes());
      ahead = null;
    }
    batch.arrow.finish();
    return batch;
  }

  private void put(Batch batch) {
    if (batchCount - first == batches.length) {
      @Nullable Batch[] more = new Batch[2 * batches.length];
      for (long i = first; i < batchCount; i++) {
        more[(int) i & (more.length - 1)] = batches[index(i)];
      }
      batches = more;
    }
    batches[index(batchCount++)] = batch;
  }

  /** A row that has not been released: a view, valid until the next call. */
  InternalRow row(long id) {
    return batch(id).arrow.row(place(id));
  }

  /** About how long the row is. */
  long bytes(long id) {
    return batch(id).rowBytes[place(id)];
  }

  /** Keeps the choices a row was asked with as long as the row. */
  void keepChoices(long id, ChoiceSet choices) {
    batch(id).choices[place(id)] = choices;
  }

  /** What {@link #keepChoices} kept, if anything. */
  @Nullable ChoiceSet choices(long id) {
    return batch(id).choices[place(id)];
  }

  /** Keeps a row's number of {@link Inference.Prompter#cachedTokens} as long as the row. */
  void keepCachedTokens(long id, int tokens) {
    batch(id).cachedTokens[place(id)] = tokens;
  }

  /** What {@link #keepCachedTokens} kept. */
  int cachedTokens(long id) {
    return batch(id).cachedTokens[place(id)];
  }

  /** Lets a row go; its batch, when it was the last. */
  void release(long id) {
    Batch batch = batch(id);
    batch.choices[place(id)] = null;
    if (++batch.released == batch.arrow.rows()) {
      batches[index(id / ArrowBatch.MAX_ROWS)] = null;
      while (first < batchCount && batches[index(first)] == null) {
        first++;
      }
      arrowBatches.giveBack(batch.arrow);
    }
  }

  private Batch batch(long id) {
    long number = id / ArrowBatch.MAX_ROWS;
    Batch batch = number < first || number >= batchCount ? null : batches[index(number)];
    if (batch == null) {
      throw new IllegalStateException("row " + id + " is not here, or was released");
    }
    return batch;
  }

  private int index(long number) {
    return (int) number & (batches.length - 1);
  }

  private static int place(long id) {
    return (int) (id % ArrowBatch.MAX_ROWS);
  }

  @Override
  public void close() {
    for (Batch batch : batches) {
      if (batch != null) {
        batch.arrow.close();
      }
    }
    batches = new Batch[batches.length];
    first = batchCount;
    arrowBatches.close();
    current = null;
  }
}
