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
package dev.moontide.cuda;

import java.util.ArrayList;
import java.util.List;

/**
 * Device memory for one purpose, given out piece by piece and freed at once. What was reserved
 * comes from one buffer; beyond it every piece is a buffer of its own. Thread-safe.
 */
final class Arena implements Owned.Resource {
  /** Pieces begin at multiples of this: what the widest copies and loads need. */
  private static final long ALIGNMENT = 256;

  private final CudaDevice device;
  private final String purpose;
  private final List<DeviceBuffer> buffers = new ArrayList<>();
  private final long reserved;
  private long used;

  /**
   * @param reserve bytes of the first buffer; 0 for none
   */
  Arena(CudaDevice device, long reserve, String purpose) {
    this.device = device;
    this.purpose = purpose;
    reserved = reserve;
    if (reserve > 0) {
      buffers.add(DeviceBuffer.allocate(device, reserve, purpose));
    }
  }

  /** What a piece of {@code bytes} takes. */
  static long rounded(long bytes) {
    return (Math.max(1, bytes) + ALIGNMENT - 1) & -ALIGNMENT;
  }

  /**
   * A piece of {@code bytes}, its contents arbitrary. The calling thread is bound to the device.
   */
  synchronized Memory allocate(long bytes) {
    long size = rounded(bytes);
    if (used + size > reserved) {
      DeviceBuffer own = DeviceBuffer.allocate(device, Math.max(1, bytes), purpose);
      buffers.add(own);
      return new Memory(own, 0, bytes);
    }
    Memory piece = new Memory(buffers.get(0), used, bytes);
    used += size;
    return piece;
  }

  /** Bytes of what was reserved that are given out. */
  synchronized long used() {
    return used;
  }

  @Override
  public synchronized void close() {
    buffers.forEach(DeviceBuffer::close);
    buffers.clear();
  }
}
