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
package dev.moontide.spark;

import dev.moontide.api.GenerationRequest;
import dev.moontide.api.GenerationResult;
import dev.moontide.spark.store.TaskResults;
import dev.moontide.spark.store.TaskResults.Standing;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * A task's part in the store of finished results, where there is one, with the time it takes added
 * to the task's counts; without one every request is to be computed. For one thread.
 */
final class KeptResults implements AutoCloseable {
  private static final Standing TO_COMPUTE = new Standing.ToCompute();

  private final @Nullable TaskResults store;
  private final Tally tally;

  /**
   * @param store null keeps nothing
   */
  KeptResults(@Nullable TaskResults store, Tally tally) {
    this.store = store;
    this.tally = tally;
  }

  /** What has to be done for {@code request}. */
  Standing ask(GenerationRequest request) {
    if (store == null) {
      return TO_COMPUTE;
    }
    long start = System.nanoTime();
    Standing standing = store.ask(request);
    tally.addStoreNanos(System.nanoTime() - start);
    return standing;
  }

  /** Keeps what was to be computed. */
  void keep(GenerationResult result) {
    if (store != null) {
      long start = System.nanoTime();
      store.keep(result);
      tally.addStoreNanos(System.nanoTime() - start);
    }
  }

  /** Whether requests wait for equal ones that are in the engine. */
  boolean isWaiting() {
    return store != null && store.isWaiting();
  }

  /** About how much memory these take. */
  long waitingBytes() {
    return store == null ? 0 : store.waitingBytes();
  }

  /** Whether {@link #takeBack} has a request. */
  boolean hasReturned() {
    return store != null && store.hasReturned();
  }

  /** A request that waited for one that was given up, to {@link #ask} again. */
  @Nullable GenerationRequest takeBack() {
    return store == null ? null : store.takeBack();
  }

  /**
   * Gives {@code answered} what requests waited for, if one is answered within {@code millis}.
   *
   * @return whether one was
   */
  boolean take(long millis, Consumer<GenerationResult> answered) {
    if (store == null || !store.isWaiting()) {
      return false;
    }
    long start = System.nanoTime();
    GenerationResult result = store.poll(millis);
    tally.addEngineNanos(System.nanoTime() - start);
    boolean any = result != null;
    while (result != null) {
      answered.accept(result);
      result = store.poll(0);
    }
    return any;
  }

  /** Stores what is left. */
  @Override
  public void close() {
    if (store != null) {
      store.close();
    }
  }
}
