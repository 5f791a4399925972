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

import dev.moontide.tensor.Step;
import org.jspecify.annotations.Nullable;

/** A step's {@link PagedLayout} on the device, copied at once when it is first asked for. */
final class PagedStep implements Owned.Resource {
  private final CudaDevice device;
  private final CudaStream stream;
  private final CudaEvent copied = new CudaEvent("paged steps");
  private final PagedLayout layout = new PagedLayout();
  private @Nullable PinnedBuffer host;
  private @Nullable DeviceBuffer buffer;
  private @Nullable Step step;
  private int revision;
  private int rows;
  private long generation;

  PagedStep(CudaDevice device, CudaStream stream) {
    this.device = device;
    this.stream = stream;
  }

  /** Brings {@code next} for {@code nextRows} to the device, unless it is there. */
  PagedLayout prepare(Step next, int nextRows) {
    if (step != next || revision != next.revision() || rows != nextRows) {
      int capacity = layout.capacity();
      layout.fill(next, nextRows);
      // The arrays' places follow from the capacity.
      generation += layout.capacity() == capacity ? 0 : 1;
      copy();
      step = next;
      revision = next.revision();
      rows = nextRows;
    }
    return layout;
  }

  /** Where the {@code at}-th int lies. */
  long address(int at) {
    return java.util.Objects.requireNonNull(buffer).address() + (long) at * Integer.BYTES;
  }

  /** Changes when steps, or arrays within them, are no longer where they were. */
  long generation() {
    return generation;
  }

  private void copy() {
    long bytes = (long) layout.ints().size() * Integer.BYTES;
    DeviceBuffer there = buffer;
    if (there == null || there.bytes() < bytes) {
      stream.synchronise();
      close(host);
      close(there);
      int size = Math.toIntExact(2 * bytes);
      host = new PinnedBuffer(size, "paged steps");
      there = DeviceBuffer.allocate(device, size, "paged steps");
      buffer = there;
      generation++;
    } else {
      copied.synchronise();
    }
    PinnedBuffer from = java.util.Objects.requireNonNull(host);
    from.view().clear().asIntBuffer().put(layout.ints().values(), 0, layout.ints().size());
    stream.upload(there, 0, from, bytes);
    copied.record(stream);
  }

  private static void close(Owned.@Nullable Resource resource) {
    if (resource != null) {
      resource.close();
    }
  }

  @Override
  public void close() {
    close(host);
    close(buffer);
    copied.close();
  }
}
