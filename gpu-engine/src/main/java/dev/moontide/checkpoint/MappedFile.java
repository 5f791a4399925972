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
package dev.moontide.checkpoint;

import dev.moontide.api.MoontideException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;

/**
 * A file mapped read-only in chunks, since one mapping ends at 2 GiB; what lies across a border is
 * put together while it is copied out. What goes to a buffer whole is read instead: a mapping's
 * pages are found one by one, by all threads in one table. Mappings and channel go when this object
 * does. Safe for concurrent use.
 */
final class MappedFile {
  /** Chunk size of files; tests take a small one. */
  static final long CHUNK_BYTES = 1L << 30;

  private final String name;
  private final FileChannel channel;
  private final ByteBuffer[] chunks;
  private final long chunkBytes;

  private MappedFile(String name, FileChannel channel, ByteBuffer[] chunks, long chunkBytes) {
    this.name = name;
    this.channel = channel;
    this.chunks = chunks;
    this.chunkBytes = chunkBytes;
  }

  /**
   * Maps all of {@code channel} in chunks of {@code chunkBytes}, which fit an {@code int}.
   *
   * @param name of the file, for messages
   * @param channel to stay open; who opened it does not close it
   */
  static MappedFile map(String name, FileChannel channel, long chunkBytes) throws IOException {
    long size = channel.size();
    ByteBuffer[] chunks = new ByteBuffer[Math.toIntExact((size + chunkBytes - 1) / chunkBytes)];
    for (int i = 0; i < chunks.length; i++) {
      long start = i * chunkBytes;
      chunks[i] =
          channel.map(FileChannel.MapMode.READ_ONLY, start, Math.min(chunkBytes, size - start));
    }
    return new MappedFile(name, channel, chunks, chunkBytes);
  }

  String name() {
    return name;
  }

  /** Copies {@code count} bytes from {@code position} of the file into {@code target}. */
  void copy(long position, byte[] target, int count) {
    int done = 0;
    while (done < count) {
      ByteBuffer chunk = chunks[(int) (position / chunkBytes)];
      int from = (int) (position % chunkBytes);
      int length = Math.min(count - done, chunk.capacity() - from);
      chunk.get(from, target, done, length);
      done += length;
      position += length;
    }
  }

  /** Copies {@code count} bytes from {@code position} of the file into {@code target}. */
  void copy(long position, long count, ByteBuffer target) {
    int limit = target.limit();
    target.limit(Math.toIntExact(target.position() + count));
    try {
      while (target.hasRemaining()) {
        int read = channel.read(target, position);
        if (read < 0) {
          throw MoontideException.checkpoint(
              "%s: ends at byte %d, %d bytes before it should: it was cut while it was read",
              name, position, target.remaining());
        }
        position += read;
      }
    } catch (IOException e) {
      throw MoontideException.checkpoint("%s: cannot be read: %s", name, e);
    }
    target.limit(limit);
  }
}
