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

import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * A fixed set of threads, the caller's among them, that together run the tasks of one operation at
 * a time. Tasks are claimed one by one, so which thread runs which is open; a run allocates
 * nothing. Threads spin briefly for the next run and then park; waking those takes a system call
 * each, which the caller makes for no more threads than the run needs.
 */
final class Workers implements AutoCloseable {
  /** One operation's work. */
  interface Body {
    /**
     * Runs one task.
     *
     * @param worker the thread's index in {@code [0, threads)}, to find its own buffers by
     */
    void run(int task, int worker);
  }

  /** The pause between the operations of a step is shorter. */
  private static final long SPIN_NANOS = 200_000;

  /** Spins from one look at the clock to the next, a power of two. */
  private static final int SPINS = 16;

  private final Thread[] threads;

  /** By thread, whether it is parked or about to be. */
  private final AtomicIntegerArray parked;

  /** The run's number in the upper half, how many of its tasks are unclaimed in the lower. */
  private final AtomicLong claim = new AtomicLong();

  private final AtomicInteger finished = new AtomicInteger();
  private volatile boolean closed;
  private volatile boolean callerParked;

  // Written before the run is published in `claim`, and not again until all its tasks are finished:
  // whoever has claimed a task reads what belongs to its run.
  private Body body = (task, worker) -> {};
  private int tasks;
  private @Nullable Thread caller;
  private volatile @Nullable Throwable failure;

  Workers(int count) {
    threads = new Thread[count - 1];
    parked = new AtomicIntegerArray(threads.length);
    for (int i = 0; i < threads.length; i++) {
      int worker = i + 1;
      threads[i] = new Thread(() -> serve(worker), "moontide-cpu-" + worker);
      threads[i].setDaemon(true);
      threads[i].start();
    }
  }

  /** How many threads there are, the caller's included. */
  int count() {
    return threads.length + 1;
  }

  /** Runs {@code count} tasks and returns when all are finished; the caller is worker 0. */
  void run(int count, Body operation) {
    if (count <= 1 || threads.length == 0) {
      for (int task = 0; task < count; task++) {
        operation.run(task, 0);
      }
      return;
    }
    body = operation;
    tasks = count;
    caller = Thread.currentThread();
    failure = null;
    finished.set(0);
    long run = (claim.get() >>> 32) + 1;
    claim.set((run << 32) | count);
    wake(count - 1);
    work(0);
    awaitAll(count);
    Throwable thrown = failure;
    if (thrown instanceof RuntimeException e) {
      throw e;
    } else if (thrown instanceof Error e) {
      throw e;
    }
  }

  /** Sees to it that {@code needed} threads, or all there are, look at the run just published. */
  private void wake(int needed) {
    int missing = needed;
    for (int i = 0; i < threads.length; i++) {
      missing -= 1 - parked.get(i);
    }
    for (int i = 0; i < threads.length && missing > 0; i++) {
      if (parked.get(i) == 1) {
        LockSupport.unpark(threads[i]);
        missing--;
      }
    }
  }

  private void awaitAll(int count) {
    long start = System.nanoTime();
    for (int spin = 0; finished.get() < count; spin++) {
      if (isSpinning(spin, start)) {
        Thread.onSpinWait();
      } else {
        callerParked = true;
        if (finished.get() < count) {
          LockSupport.park(this);
        }
        callerParked = false;
      }
    }
  }

  private static boolean isSpinning(int spin, long start) {
    return (spin & (SPINS - 1)) != SPINS - 1 || System.nanoTime() - start < SPIN_NANOS;
  }

  private void serve(int worker) {
    long seen = 0;
    int spin = 0;
    long start = System.nanoTime();
    while (!closed) {
      long state = claim.get();
      if (state >>> 32 != seen) {
        seen = state >>> 32;
        work(worker);
        spin = 0;
        start = System.nanoTime();
      } else if (isSpinning(spin++, start)) {
        Thread.onSpinWait();
      } else {
        park(worker - 1, seen);
      }
    }
  }

  /** Parks unless a run after {@code seen} was published before the caller could see it parked. */
  private void park(int thread, long seen) {
    parked.set(thread, 1);
    if (claim.get() >>> 32 == seen && !closed) {
      LockSupport.park(this);
    }
    parked.set(thread, 0);
  }

  private void work(int worker) {
    for (long state = claim.get(); (int) state > 0; state = claim.get()) {
      if (claim.compareAndSet(state, state - 1)) {
        int count = tasks;
        execute(count - (int) state, worker);
        if (finished.incrementAndGet() == count && callerParked) {
          LockSupport.unpark(caller);
        }
      }
    }
  }

  private void execute(int task, int worker) {
    if (failure != null) {
      return;
    }
    try {
      body.run(task, worker);
    } catch (RuntimeException | Error e) {
      failure = e;
    }
  }

  @Override
  public void close() {
    closed = true;
    for (Thread thread : threads) {
      LockSupport.unpark(thread);
    }
    boolean interrupted = false;
    for (Thread thread : threads) {
      while (thread.isAlive()) {
        try {
          thread.join();
        } catch (InterruptedException e) {
          interrupted = true;
        }
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
