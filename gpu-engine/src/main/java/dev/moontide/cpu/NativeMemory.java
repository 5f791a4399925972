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

import dev.moontide.api.MoontideException;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.javacpp.Pointer;

/**
 * Memory outside the heap, allocated from several threads and freed at once. Blocks are zeroed and
 * aligned to a cache line; the system commits their pages as they are first written.
 */
final class NativeMemory implements AutoCloseable {
  private static final int ALIGNMENT = 64;

  private final List<Pointer> blocks = new ArrayList<>();

  /** Allocates {@code bytes} for {@code purpose}, which an error names; returns the address. */
  synchronized long allocate(long bytes, String purpose) {
    Pointer block = Pointer.calloc(bytes + ALIGNMENT, 1);
    if (block == null || block.isNull()) {
      throw MoontideException.engine(
          "cannot allocate %,d bytes of native memory for %s: use a machine with more memory, a"
              + " smaller kv-cache-memory, or fewer engines at a time",
          bytes, purpose);
    }
    blocks.add(block);
    return (block.address() + ALIGNMENT - 1) & -ALIGNMENT;
  }

  @Override
  public synchronized void close() {
    blocks.forEach(Pointer::free);
    blocks.clear();
  }
}
