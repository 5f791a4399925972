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

import org.jspecify.annotations.Nullable;

/**
 * Memory an operation works in and leaves to the next: one buffer, as large as the operation that
 * needs most. An operation asks for all it needs, then takes its pieces.
 */
final class Scratch implements Owned.Resource {
  private final CudaDevice device;
  private final CudaStream stream;
  private @Nullable DeviceBuffer buffer;
  private long used;
  private long generation;

  Scratch(CudaDevice device, CudaStream stream, long reserve) {
    this.device = device;
    this.stream = stream;
    if (reserve > 0) {
      buffer = DeviceBuffer.allocate(device, reserve, "scratch");
    }
  }

  /** Makes room for pieces of {@code bytes} together, each {@link Arena#rounded}. */
  void begin(long bytes) {
    used = 0;
    if (buffer == null || buffer.bytes() < bytes) {
      if (buffer != null) {
        stream.synchronise();
        buffer.close();
        generation++;
      }
      buffer = DeviceBuffer.allocate(device, bytes, "scratch");
    }
  }

  /** The next piece. */
  long take(long bytes) {
    if (buffer == null || used + bytes > buffer.bytes()) {
      throw new IllegalStateException(
          "scratch: %d bytes wanted after %d, and it has %d"
              .formatted(bytes, used, buffer == null ? 0 : buffer.bytes()));
    }
    long address = buffer.address() + used;
    used += Arena.rounded(bytes);
    return address;
  }

  /** Bytes it has. */
  long bytes() {
    return buffer == null ? 0 : buffer.bytes();
  }

  /** Changes when pieces taken before are no longer where they were. */
  long generation() {
    return generation;
  }

  @Override
  public void close() {
    if (buffer != null) {
      buffer.close();
    }
  }
}
