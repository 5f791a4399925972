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
package dev.moontide.cpu;

import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.nio.ShortBuffer;

/** A thread's own native buffer, through which rows travel between the heap and oneDNN. */
final class Tile implements AutoCloseable {
  private final NativeMemory memory = new NativeMemory();
  private long bytes;
  private long address;
  private ShortBuffer shorts = ByteBuffer.allocate(0).asShortBuffer();
  private FloatBuffer floats = ByteBuffer.allocate(0).asFloatBuffer();

  /** Makes room for {@code needed} bytes; what the tile held is lost where it has to grow. */
  void reserve(long needed) {
    if (needed > bytes) {
      memory.close();
      bytes = Math.max(needed, 2 * bytes);
      address = memory.allocate(bytes, "a thread's tile");
      ByteBuffer view = Address.view(address, bytes);
      shorts = view.asShortBuffer();
      floats = view.asFloatBuffer();
    }
  }

  long address() {
    return address;
  }

  /** The tile as 16-bit numbers. */
  ShortBuffer shorts() {
    return shorts;
  }

  /** The tile as float32. */
  FloatBuffer floats() {
    return floats;
  }

  @Override
  public void close() {
    memory.close();
    bytes = 0;
  }
}
