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
import org.jspecify.annotations.Nullable;

/** One thread's block of cache entries gathered from several blocks. */
final class GatheredBlock implements AutoCloseable {
  private final NativeMemory memory = new NativeMemory();
  private @Nullable LatentLayout layout;
  private long address;
  private ByteBuffer buffer = ByteBuffer.allocate(0);

  /** Makes it a block of {@code wanted}; a new one holds zeros. */
  void reserve(LatentLayout wanted) {
    if (layout != wanted) {
      memory.close();
      layout = wanted;
      address = memory.allocate(wanted.blockBytes(), "gathered cache entries");
      buffer = Address.view(address, wanted.blockBytes());
    }
  }

  /** Address of the page of keys. */
  long keys() {
    return address;
  }

  ByteBuffer buffer() {
    return buffer;
  }

  @Override
  public void close() {
    memory.close();
  }
}
