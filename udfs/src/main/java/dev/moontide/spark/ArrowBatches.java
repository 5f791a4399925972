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
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.vector.types.pojo.Schema;

/**
 * Batches of one schema, which are filled again when they have been read: their vectors and buffers
 * cost more to make than a short row to copy. For one thread.
 */
final class ArrowBatches implements AutoCloseable {
  /** Batches kept, {@link ArrowBatch#MAX_BYTES} of rows each at most. */
  private static final int MAX_IDLE = 4;

  private final Schema schema;
  private final BufferAllocator allocator;
  private final ArrayDeque<ArrowBatch> idle = new ArrayDeque<>(MAX_IDLE);

  /**
   * @param allocator what the batches belong to
   */
  ArrowBatches(Schema schema, BufferAllocator allocator) {
    this.schema = schema;
    this.allocator = allocator;
  }

  /** An empty batch: the caller's, until it gives it back or closes it. */
  ArrowBatch take() {
    ArrowBatch batch = idle.poll();
    return batch == null ? new ArrowBatch(schema, allocator) : batch;
  }

  /** Takes a batch that nobody reads any more. */
  void giveBack(ArrowBatch batch) {
    if (idle.size() < MAX_IDLE && batch.bytes() <= ArrowBatch.MAX_BYTES) {
      batch.reset();
      idle.add(batch);
    } else {
      batch.close();
    }
  }

  @Override
  public void close() {
    idle.forEach(ArrowBatch::close);
    idle.clear();
  }
}
