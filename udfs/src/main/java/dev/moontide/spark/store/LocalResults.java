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
package dev.moontide.spark.store;

import java.io.EOFException;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/**
 * A copy of a store's results on this machine's disk, found by key: one file of records, and tables
 * of where each is. What is on the heap does not grow with the results. The copy does not change
 * when segments are merged or deleted, and goes with the JVM. Thread-safe.
 */
final class LocalResults implements AutoCloseable {
  /** Bytes read of a record at first: most are not longer. */
  private static final int READ_BYTES = 512;

  /** A table holds up to 50 million keys; the key's first bits choose it. */
  private static final int TABLE_BITS = 4;

  /** No channel: one that a killed task's thread is interrupted in closes for all. */
  private final RandomAccessFile records;

  private final Path folder;
  private final KeyTable[] tables = new KeyTable[1 << TABLE_BITS];
  private final ByteBuffer start = ByteBuffer.allocate(READ_BYTES);
  private ByteBuffer fresh = ByteBuffer.allocate(1 << 16);
  private long end;

  /** Records before this are of old segments; not known while those are read. */
  private long oldEnd = -1;

  /** Nothing yet; its files go to {@code folder}. */
  LocalResults(Path folder) throws IOException {
    this.folder = folder;
    Path file = Files.createTempFile(folder, "moontide-results", null);
    records = new RandomAccessFile(file.toFile(), "rw");
    Files.delete(file); // its space goes with the JVM, however that ends
    for (int i = 0; i < tables.length; i++) {
      tables[i] = new KeyTable(folder);
    }
  }

  /** Adds the records of a segment's block, but for those that are here. */
  void add(ByteBuffer block) throws IOException {
    try {
      addAll(block);
    } catch (IOException failed) {
      throw new IOException(
          "this executor's copy of them in %s: %s".formatted(folder, failed.getMessage()), failed);
    }
  }

  private synchronized void addAll(ByteBuffer block) throws IOException {
    if (fresh.capacity() < block.remaining()) {
      fresh = ByteBuffer.allocate(block.remaining());
    }
    fresh.clear();
    ByteBuffer rest = block.duplicate();
    while (rest.hasRemaining()) {
      int record = rest.position();
      int length = Integer.BYTES + rest.getInt(record);
      long high = rest.getLong(record + Integer.BYTES);
      long low = rest.getLong(record + Integer.BYTES + Long.BYTES);
      RequestKey key = new RequestKey(high, low);
      if (find(key) == null || isOld(key)) {
        table(high).put(high, end + fresh.position());
        fresh.put(rest.duplicate().limit(record + length));
      }
      rest.position(record + length);
    }
    records.seek(end);
    records.write(fresh.array(), 0, fresh.position());
    end += fresh.position();
  }

  /** Says that what is added from here on is not of old segments; once. */
  synchronized void endOld() {
    if (oldEnd < 0) {
      oldEnd = end;
    }
  }

  /** Whether the result of {@code key}, which is here, is of old segments alone. */
  synchronized boolean isOld(RequestKey key) {
    return table(key.high()).get(key.high()) < oldEnd;
  }

  /** The result of {@code key}, as {@link StoredResult#write} wrote it; null if it is not here. */
  synchronized byte @Nullable [] find(RequestKey key) throws IOException {
    long place = table(key.high()).get(key.high());
    if (place < 0 || place >= end) { // beyond the end: what is being added
      return null;
    }
    records.seek(place);
    int there = read(start.array(), Segment.RECORD_HEADER_BYTES);
    if (start.getLong(Integer.BYTES) != key.high()
        || start.getLong(Integer.BYTES + Long.BYTES) != key.low()) {
      return null;
    }
    byte[] result = new byte[Integer.BYTES + start.getInt(0) - Segment.RECORD_HEADER_BYTES];
    int copied = Math.min(result.length, there - Segment.RECORD_HEADER_BYTES);
    System.arraycopy(start.array(), Segment.RECORD_HEADER_BYTES, result, 0, copied);
    if (copied < result.length) {
      records.seek(place + Segment.RECORD_HEADER_BYTES + copied);
      records.readFully(result, copied, result.length - copied);
    }
    return result;
  }

  /** Reads from the array's start at least {@code least} bytes, and what comes with them. */
  private int read(byte[] target, int least) throws IOException {
    int there = 0;
    while (there < least) {
      int count = records.read(target, there, target.length - there);
      if (count < 0) {
        throw new EOFException("the local copy of the finished results ends too early");
      }
      there += count;
    }
    return there;
  }

  /** Bytes of the records. */
  synchronized long bytes() {
    return end;
  }

  private KeyTable table(long high) {
    return tables[(int) (high >>> (Long.SIZE - TABLE_BITS))];
  }

  @Override
  public synchronized void close() throws IOException {
    records.close();
  }
}
