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
package dev.moontide.cluster;

import java.time.Duration;
import java.util.Optional;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;

/** Waits for what another process does, by looking until it is there or a deadline is past. */
final class Await {
  private static final long BETWEEN_LOOKS_MILLIS = 20;

  private Await() {}

  /**
   * Waits until {@code condition} holds.
   *
   * @param state what to tell if it does not hold in time
   */
  static void until(
      String what, Duration limit, BooleanSupplier condition, Supplier<String> state) {
    value(
        what,
        limit,
        () -> condition.getAsBoolean() ? Optional.of(Boolean.TRUE) : Optional.empty(),
        state);
  }

  /** Waits until {@code look} finds something, and returns it. */
  static <T> T value(
      String what, Duration limit, Supplier<Optional<T>> look, Supplier<String> state) {
    long deadline = System.nanoTime() + limit.toNanos();
    while (true) {
      Optional<T> found = look.get();
      if (found.isPresent()) {
        return found.get();
      }
      if (System.nanoTime() > deadline) {
        throw new AssertionError(
            "no %s within %d s%n%s".formatted(what, limit.toSeconds(), state.get()));
      }
      try {
        Thread.sleep(BETWEEN_LOOKS_MILLIS);
      } catch (InterruptedException interrupted) {
        Thread.currentThread().interrupt();
        throw new AssertionError("interrupted while waiting for " + what, interrupted);
      }
    }
  }
}
