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

import dev.moontide.api.MoontideException;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Engines that could not be loaded when the executor started. A task that needs one fails with the
 * reason at once: to try again would have each of its attempts read the checkpoint again.
 */
final class LoadFailures {
  private static final Map<Load, Throwable> FAILURES = new ConcurrentHashMap<>();

  private record Load(ModelOptions model, int gpu) {}

  private LoadFailures() {}

  static void remember(ModelOptions model, int gpu, Throwable failure) {
    FAILURES.put(new Load(model, gpu), failure);
  }

  static void forget() {
    FAILURES.clear();
  }

  /**
   * Fails if the engine of {@code model} on {@code gpu} could not be loaded.
   *
   * @throws MoontideException of the failure's own category
   */
  static void throwIfFailed(ModelOptions model, int gpu) {
    Throwable failure = FAILURES.get(new Load(model, gpu));
    if (failure != null) {
      throw new MoontideException(
          failure instanceof MoontideException known
              ? known.category()
              : MoontideException.Category.ENGINE,
          "the engine could not be loaded when this executor started: " + failure.getMessage(),
          failure);
    }
  }
}
