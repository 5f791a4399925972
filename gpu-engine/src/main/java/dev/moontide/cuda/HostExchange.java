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

import java.nio.ByteBuffer;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** A pinned buffer and one of the device of the same size, for what the host asks and is told. */
final class HostExchange implements Owned.Resource {
  private final Execution run;
  private @Nullable PinnedBuffer host;
  private @Nullable DeviceBuffer device;

  HostExchange(Execution run) {
    this.run = run;
  }

  /** Makes room for {@code bytes}; the host's side, empty. */
  ByteBuffer begin(int bytes) {
    if (host == null || host.bytes() < bytes) {
      close();
      int size = Math.max(4096, Math.addExact(bytes, bytes));
      host = new PinnedBuffer(size, "results");
      device = DeviceBuffer.allocate(run.device, size, "results");
    }
    return host.view().clear();
  }

  /** Where the device's side begins. */
  long address() {
    return Objects.requireNonNull(device).address();
  }

  /** Copies the first {@code bytes} to the device. */
  void upload(int bytes) {
    run.stream.upload(Objects.requireNonNull(device), 0, Objects.requireNonNull(host), bytes);
  }

  /** Copies {@code bytes} of the device's side from {@code offset} to the beginning, and waits. */
  void download(long offset, int bytes) {
    run.stream.download(
        Objects.requireNonNull(host), Objects.requireNonNull(device), offset, bytes);
    run.stream.synchronise();
  }

  /** Copies {@code bytes} of {@code from} from {@code offset} to the beginning, and waits. */
  void download(Memory from, long offset, int bytes) {
    run.stream.download(Objects.requireNonNull(host), from.buffer(), from.offset() + offset, bytes);
    run.stream.synchronise();
  }

  @Override
  public void close() {
    if (host != null) {
      host.close();
    }
    if (device != null) {
      device.close();
    }
  }
}
