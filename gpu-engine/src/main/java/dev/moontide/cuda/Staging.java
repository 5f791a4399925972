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
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Semaphore;
import java.util.function.Consumer;
import java.util.function.LongConsumer;
import java.util.function.ObjIntConsumer;
import org.jspecify.annotations.Nullable;

/**
 * Pinned buffers through which any number of loading threads fill the device's memory: a thread
 * fills one, sends it on its way and goes on with another. Buffers are made as they are needed.
 */
final class Staging implements Owned.Resource {
  /** Large enough that a copy's start is nothing beside it. */
  static final int BUFFER_BYTES = 8 << 20;

  private static final int BUFFERS = 8;

  /** On which copies are made. */
  final CudaStream stream = new CudaStream("loading");

  private final Object launches = new Object();
  private final Semaphore free = new Semaphore(BUFFERS);
  private final ArrayDeque<Slot> idle = new ArrayDeque<>();
  private final List<Slot> all = new ArrayList<>();
  private volatile boolean pending;

  /** A buffer and the end of its last copy. */
  private static final class Slot implements Owned.Resource {
    private final CudaEvent copied = new CudaEvent("loading");
    private final PinnedBuffer buffer;
    private @Nullable DeviceBuffer raw;

    Slot() {
      try {
        buffer = new PinnedBuffer(BUFFER_BYTES, "loading");
      } catch (RuntimeException e) {
        copied.close();
        throw e;
      }
    }

    /** As large on the device, for bytes that a kernel puts where they go. */
    DeviceBuffer raw(CudaDevice device) {
      if (raw == null) {
        raw = DeviceBuffer.allocate(device, BUFFER_BYTES, "loading");
      }
      return raw;
    }

    @Override
    public void close() {
      buffer.close();
      copied.close();
      if (raw != null) {
        raw.close();
      }
    }
  }

  /**
   * Has {@code fill} write into a free buffer, waiting for one, and copies what it wrote to the
   * device.
   */
  void send(Memory to, long offset, Consumer<ByteBuffer> fill) {
    send(
        fill,
        (slot, bytes) -> stream.upload(to.buffer(), to.offset() + offset, slot.buffer, bytes));
  }

  /**
   * Has {@code fill} write into a free buffer, copies what it wrote to the device and has {@code
   * launch} queue kernels on {@link #stream} that read it, given where it lies. One launch at a
   * time.
   */
  void convert(CudaDevice device, Consumer<ByteBuffer> fill, LongConsumer launch) {
    send(
        fill,
        (slot, bytes) -> {
          DeviceBuffer raw = slot.raw(device);
          synchronized (launches) {
            stream.upload(raw, 0, slot.buffer, bytes);
            launch.accept(raw.address());
          }
        });
  }

  private void send(Consumer<ByteBuffer> fill, ObjIntConsumer<Slot> copy) {
    free.acquireUninterruptibly();
    Slot slot;
    try {
      slot = take();
    } catch (RuntimeException e) {
      free.release();
      throw e;
    }
    try {
      slot.copied.synchronise();
      fill.accept(slot.buffer.view().clear());
      pending = true;
      copy.accept(slot, slot.buffer.view().position());
      slot.copied.record(stream);
    } finally {
      give(slot);
    }
  }

  private synchronized Slot take() {
    if (!idle.isEmpty()) {
      return idle.remove();
    }
    Slot slot = new Slot();
    all.add(slot);
    return slot;
  }

  private synchronized void give(Slot slot) {
    idle.add(slot);
    free.release();
  }

  /** Waits for every copy, if there were any since the last call. */
  void drain() {
    if (pending) {
      pending = false;
      stream.synchronise();
    }
  }

  @Override
  public void close() {
    try (Owned owned = new Owned()) {
      owned.add(stream);
      all.forEach(owned::add);
      stream.synchronise();
    }
  }
}
