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

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.util.zip.CRC32C;

/**
 * The format of a segment, a file of finished results that is never changed: {@link #MAGIC}, then
 * blocks, each {@code int length, int CRC32C of the content, content}. A block's content is records
 * {@code int length, long key high, long key low, StoredResult}, where length counts what follows
 * it. All numbers are big-endian. A block is whole or it is not read.
 */
final class Segment {
  private static final long MAGIC = 0x4d4f4f4e52455331L; // MOONRES1

  /** Content of a block at most. */
  static final int MAX_BLOCK_BYTES = 64 << 20;

  /** Bytes of a record before its result. */
  static final int RECORD_HEADER_BYTES = Integer.BYTES + 2 * Long.BYTES;

  private Segment() {}

  /** Takes the content of a block, from its position to its limit. */
  interface BlockConsumer {
    void accept(ByteBuffer block) throws IOException;
  }

  static void writeStart(DataOutputStream out) throws IOException {
    out.writeLong(MAGIC);
  }

  static void writeBlock(DataOutputStream out, ByteBuffer block) throws IOException {
    out.writeInt(block.remaining());
    out.writeInt(checksum(block));
    out.write(block.array(), block.arrayOffset() + block.position(), block.remaining());
  }

  /**
   * Reads blocks up to the segment's end or to the first that is damaged.
   *
   * @return whether all of the segment was read
   */
  static boolean read(InputStream stream, BlockConsumer blocks) throws IOException {
    DataInputStream in = new DataInputStream(stream);
    try {
      if (in.readLong() != MAGIC) {
        return false;
      }
      for (int first = in.read(); first >= 0; first = in.read()) {
        int length = first << 24 | in.readUnsignedByte() << 16 | in.readUnsignedShort();
        int checksum = in.readInt();
        if (length < 0 || length > MAX_BLOCK_BYTES) {
          return false;
        }
        ByteBuffer block = ByteBuffer.wrap(in.readNBytes(length));
        if (block.remaining() < length || checksum(block) != checksum) {
          return false;
        }
        blocks.accept(block);
      }
      return true;
    } catch (EOFException torn) {
      return false;
    }
  }

  private static int checksum(ByteBuffer block) {
    CRC32C checksum = new CRC32C();
    checksum.update(block.duplicate());
    return (int) checksum.getValue();
  }
}
