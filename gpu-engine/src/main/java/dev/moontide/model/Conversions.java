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
package dev.moontide.model;

import dev.moontide.api.MoontideException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Work done by a fixed number of threads, all of it or none: after the first failure nothing more
 * begins. Used once: submit, {@link #await}, then look at the results.
 */
final class Conversions {
  private final ExecutorService pool;
  private final AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();

  Conversions(int threads) {
    AtomicInteger number = new AtomicInteger();
    pool =
        Executors.newFixedThreadPool(
            threads,
            work -> {
              Thread thread = new Thread(work, "moontide-load-" + number.incrementAndGet());
              thread.setDaemon(true);
              return thread;
            });
  }

  /**
   * Begins {@code work} when a thread is free.
   *
   * @param what it converts, for messages
   * @return its result, to be asked for after {@link #await}
   */
  <T> Supplier<T> submit(String what, Supplier<T> work) {
    CompletableFuture<T> result = new CompletableFuture<>();
    pool.execute(
        () -> {
          if (failure.get() == null) {
            try {
              result.complete(work.get());
            } catch (MoontideException | Error e) {
              failure.compareAndSet(null, e);
            } catch (RuntimeException e) {
              failure.compareAndSet(
                  null,
                  new MoontideException(
                      MoontideException.Category.ENGINE, "loading " + what + ": " + e, e));
            }
          }
        });
    return result::join;
  }

  /** Begins nothing more, because of {@code cause}, and waits until no thread works any more. */
  void stop(Throwable cause) {
    failure.compareAndSet(null, cause);
    drain();
  }

  /**
   * Waits until no thread works any more, then throws the first failure if there was one. An
   * interrupt counts as a failure and stays set.
   */
  void await() {
    drain();
    Throwable first = failure.get();
    if (first instanceof Error error) {
      throw error;
    }
    if (first != null) {
      throw (RuntimeException) first;
    }
  }

  private void drain() {
    pool.shutdown();
    boolean interrupted = false;
    boolean done = false;
    while (!done) {
      try {
        // Asked first, as a pool that has ended already is not waited for.
        if (Thread.interrupted()) {
          throw new InterruptedException();
        }
        done = pool.awaitTermination(1, TimeUnit.HOURS);
      } catch (InterruptedException e) {
        interrupted = true;
        failure.compareAndSet(
            null, MoontideException.engine("loading the checkpoint was interrupted"));
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
