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
import java.util.BitSet;
import java.util.List;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.Semaphore;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Pinned buffers through which the device's memory is filled. A weight is loaded in {@link
 * #pieces}: a reader thread writes a piece into a buffer, sends it on its way and takes the next
 * one, so that reading, copying and what kernels do with the bytes go on at once. Buffers are made
 * as they are needed, and freed when the device is first used.
 */
final class Staging implements Owned.Resource {
  /** Large enough that a copy's start is little beside it; pinning memory costs, too. */
  static final int BUFFER_BYTES = 4 << 20;

  /** As many read from memory faster than a device is copied to. */
  private static final int MAX_READERS = 16;

  /** Beside the one that each reader writes, as many for all that are copied. */
  private static final int COPIED_BUFFERS = 4;

  private static final long IDLE_SECONDS = 2;

  private final CudaDevice device;
  private final CudaStream copies;

  /** For kernels that put copied bytes where they go, while the next are copied. */
  private final CudaStream kernels;

  private final ThreadPoolExecutor readers;
  private final int buffers;
  private final Semaphore free;
  private final ArrayDeque<Slot> idle = new ArrayDeque<>();

  /** Of {@link #kernels}, for one thread at a time. */
  private final Launcher launcher;

  private final CudaEvent sent;

  /** As large as all slots, once kernels have something to put into place. */
  private @Nullable DeviceBuffer raw;

  /** Numbers of the slots there are. */
  private final BitSet numbers = new BitSet();

  private volatile boolean pending;

  /**
   * @param owned takes over what is made here
   */
  Staging(CudaDevice device, Owned owned) {
    this.device = device;
    copies = owned.add(new CudaStream("loading"));
    kernels = owned.add(new CudaStream("placing weights"));
    launcher = owned.add(new Launcher(kernels));
    sent = owned.add(new CudaEvent("loading"));
    int threads = Math.min(MAX_READERS, Runtime.getRuntime().availableProcessors());
    buffers = threads + COPIED_BUFFERS;
    free = new Semaphore(buffers);
    AtomicInteger number = new AtomicInteger();
    readers =
        new ThreadPoolExecutor(
            threads,
            threads,
            IDLE_SECONDS,
            TimeUnit.SECONDS,
            new LinkedBlockingQueue<>(),
            work -> {
              Thread thread = new Thread(work, "moontide-read-" + number.incrementAndGet());
              thread.setDaemon(true);
              return thread;
            });
    readers.allowCoreThreadTimeOut(true);
  }

  /** A buffer and the end of what was last done with it. */
  private static final class Slot implements Owned.Resource {
    private final int number;
    private final Owned owned = new Owned();
    private final CudaEvent copied = owned.add(new CudaEvent("loading"));
    private final CudaEvent done = owned.add(new CudaEvent("loading"));
    private final PinnedBuffer buffer;

    Slot(int number) {
      this.number = number;
      try {
        buffer = owned.add(PinnedBuffer.registered(BUFFER_BYTES, "loading"));
      } catch (RuntimeException e) {
        owned.close();
        throw e;
      }
    }

    @Override
    public void close() {
      owned.close();
    }
  }

  /** Sends what a slot holds on its way. */
  private interface Way {
    void send(Slot slot, int bytes);
  }

  /** Launches kernels that read what was copied to {@code from}. */
  interface Placement {
    void launch(Launcher launcher, long from);
  }

  /** Has {@code launch} launch kernels that begin when all that was sent before is there. */
  void whenCopied(Consumer<Launcher> launch) {
    synchronized (launcher) {
      sent.record(copies);
      kernels.waitFor(sent);
      launch.accept(launcher);
    }
    pending = true;
  }

  /** The pieces of one weight, given out by one thread; several may be under way at once. */
  Pieces pieces() {
    return new Pieces();
  }

  /** See {@link #pieces}. After a failure the pieces not yet read are dropped. */
  final class Pieces {
    private int left;
    private @Nullable Throwable failure;

    /** Has {@code fill} write into a free buffer, and copies what it wrote to the device. */
    void send(Memory to, long offset, Consumer<ByteBuffer> fill) {
      submit(
          fill,
          (slot, bytes) -> {
            copies.upload(to.buffer(), to.offset() + offset, slot.buffer, bytes);
            slot.done.record(copies);
          });
    }

    /**
     * Has {@code fill} write into a free buffer, copies what it wrote to the beginning of {@link
     * #BUFFER_BYTES} on the device and has {@code place} launch kernels, which may use all of them.
     */
    void convert(Consumer<ByteBuffer> fill, Placement place) {
      submit(
          fill,
          (slot, bytes) -> {
            DeviceBuffer raw = raw();
            long at = (long) slot.number * BUFFER_BYTES;
            copies.upload(raw, at, slot.buffer, bytes);
            slot.copied.record(copies);
            synchronized (launcher) {
              kernels.waitFor(slot.copied);
              place.launch(launcher, raw.address() + at);
              slot.done.record(kernels);
            }
          });
    }

    private void submit(Consumer<ByteBuffer> fill, Way way) {
      synchronized (this) {
        left++;
      }
      readers.execute(
          () -> {
            Throwable thrown = null;
            try {
              if (!hasFailed()) {
                read(fill, way);
              }
            } catch (RuntimeException | Error e) {
              thrown = e;
            } finally {
              finish(thrown);
            }
          });
    }

    private synchronized boolean hasFailed() {
      return failure != null;
    }

    private synchronized void finish(@Nullable Throwable thrown) {
      if (failure == null) {
        failure = thrown;
      }
      left--;
      notifyAll();
    }

    /** Waits until every piece is on its way, and throws what the first failure threw. */
    synchronized void await() {
      boolean interrupted = false;
      while (left > 0) {
        try {
          wait();
        } catch (InterruptedException e) {
          interrupted = true;
        }
      }
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
      if (failure instanceof Error error) {
        throw error;
      }
      if (failure instanceof RuntimeException exception) {
        throw exception;
      }
    }
  }

  private void read(Consumer<ByteBuffer> fill, Way way) {
    device.bind();
    free.acquireUninterruptibly();
    try {
      Slot slot = take();
      try {
        slot.done.synchronise();
        fill.accept(slot.buffer.view().clear());
        way.send(slot, slot.buffer.view().position());
      } finally {
        pending = true;
        give(slot);
      }
    } finally {
      free.release();
    }
  }

  private Slot take() {
    synchronized (idle) {
      if (!idle.isEmpty()) {
        return idle.remove();
      }
    }
    int number;
    synchronized (this) {
      number = numbers.nextClearBit(0);
      numbers.set(number);
    }
    try {
      return new Slot(number);
    } catch (RuntimeException | Error e) {
      synchronized (this) {
        numbers.clear(number);
      }
      throw e;
    }
  }

  /** For bytes that kernels put where they go: each slot has its part. */
  private synchronized DeviceBuffer raw() {
    if (raw == null) {
      raw = DeviceBuffer.allocate(device, (long) buffers * BUFFER_BYTES, "loading");
    }
    return raw;
  }

  private void give(Slot slot) {
    synchronized (idle) {
      idle.add(slot);
    }
  }

  /**
   * Waits for all that is under way, if anything was since the last call, and frees the buffers.
   */
  void drain() {
    if (pending) {
      pending = false;
      synchronise();
      closeIdle();
    }
  }

  private void synchronise() {
    copies.synchronise();
    kernels.synchronise();
  }

  private void closeIdle() {
    List<Slot> slots;
    synchronized (idle) {
      slots = new ArrayList<>(idle);
      idle.clear();
    }
    try (Owned owned = new Owned()) {
      slots.forEach(owned::add);
      synchronized (this) {
        numbers.clear();
        if (raw != null) {
          owned.add(raw);
          raw = null;
        }
      }
    }
  }

  @Override
  public void close() {
    readers.shutdown();
    try (Owned owned = new Owned()) {
      owned.add(this::closeIdle);
      owned.add(this::synchronise);
    }
  }
}
