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

import dev.moontide.api.MoontideException;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteOrder;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * A hash table of 64-bit hashes to places, in a memory-mapped file: ten million entries are 400 MB
 * of page cache, which the machine takes back when it needs it, and nothing on the heap. Open
 * addressing with linear probing; a slot is {@code long hash, long place + 1}, zero where it is
 * free. The file has no name any more once it is open. For one thread at a time.
 */
final class KeyTable {
  private static final int SLOT_BYTES = 2 * Long.BYTES;
  private static final int FIRST_SLOTS = 1 << 8;

  /** A mapping ends at 2 GiB. */
  private static final int MOST_SLOTS = 1 << 26;

  private final Path folder;
  private MappedByteBuffer slots;
  private int mask;
  private int entries;

  KeyTable(Path folder) throws IOException {
    this.folder = folder;
    slots = map(FIRST_SLOTS);
    mask = FIRST_SLOTS - 1;
  }

  /** The place last put for {@code hash}, or −1. */
  long get(long hash) {
    return slots.getLong(slot(hash) + Long.BYTES) - 1;
  }

  void put(long hash, long place) throws IOException {
    if (entries >= mask - mask / 4) {
      grow();
    }
    int slot = slot(hash);
    if (slots.getLong(slot + Long.BYTES) == 0) {
      entries++;
      slots.putLong(slot, hash);
    }
    slots.putLong(slot + Long.BYTES, place + 1);
  }

  /** Where the slot of {@code hash} is, or the free one it would take; hashes are uniform. */
  private int slot(long hash) {
    for (int i = (int) hash & mask; ; i = (i + 1) & mask) {
      int slot = i * SLOT_BYTES;
      if (slots.getLong(slot + Long.BYTES) == 0 || slots.getLong(slot) == hash) {
        return slot;
      }
    }
  }

  private void grow() throws IOException {
    int size = mask + 1;
    if (size >= MOST_SLOTS) {
      throw MoontideException.engine(
          "the store has more than 800 million results: start a new one with --no-resume");
    }
    MappedByteBuffer old = slots;
    slots = map(2 * size);
    mask = 2 * size - 1;
    for (int slot = 0; slot < size * SLOT_BYTES; slot += SLOT_BYTES) {
      long place = old.getLong(slot + Long.BYTES);
      if (place != 0) {
        int target = slot(old.getLong(slot));
        slots.putLong(target, old.getLong(slot));
        slots.putLong(target + Long.BYTES, place);
      }
    }
  }

  /** Writes the zeros, so that a full disk is an exception here and not a fault on access later. */
  private MappedByteBuffer map(int size) throws IOException {
    Path file = Files.createTempFile(folder, "moontide-keys", null);
    try (RandomAccessFile zeros = new RandomAccessFile(file.toFile(), "rw")) {
      byte[] some = new byte[Math.min(size * SLOT_BYTES, 1 << 20)];
      for (long written = 0; written < (long) size * SLOT_BYTES; written += some.length) {
        zeros.write(some);
      }
      MappedByteBuffer mapped =
          zeros.getChannel().map(FileChannel.MapMode.READ_WRITE, 0, (long) size * SLOT_BYTES);
      mapped.order(ByteOrder.nativeOrder());
      return mapped;
    } finally {
      Files.delete(file);
    }
  }
}
