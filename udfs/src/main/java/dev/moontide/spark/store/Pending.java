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
package dev.moontide.spark.store;

import dev.moontide.api.GenerationRequest;
import dev.moontide.api.GenerationResult;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * A result that a task of this JVM computes, or has computed but not yet stored, and those who wait
 * for it. Thread-safe.
 */
final class Pending {
  /**
   * What a waiting request is told.
   *
   * @param request the one that waited
   * @param result the answer to an equal one; null if that was given up
   */
  record Delivery(GenerationRequest request, @Nullable GenerationResult result) {}

  private record Follower(GenerationRequest request, Consumer<Delivery> mailbox) {}

  private final Thread owner = Thread.currentThread();
  private final Object task;
  private final List<Follower> followers = new ArrayList<>(0);
  private @Nullable GenerationResult result;
  private boolean abandoned;

  /** To be computed by {@code task}, on this thread. */
  Pending(Object task) {
    this.task = task;
  }

  /**
   * Whether {@code other} can wait for this: not where its own thread would have to run another
   * task's iterator for that, as it might be the one that waits.
   */
  boolean canServe(Object other) {
    return task == other || owner != Thread.currentThread();
  }

  /** The result, if it is computed. */
  synchronized @Nullable GenerationResult result() {
    return result;
  }

  /** Whether {@code mailbox} will be told of the result; false if that is decided already. */
  synchronized boolean tell(GenerationRequest request, Consumer<Delivery> mailbox) {
    if (result != null || abandoned) {
      return false;
    }
    followers.add(new Follower(request, mailbox));
    return true;
  }

  /** Ends it with {@code answer}. */
  synchronized void complete(GenerationResult answer) {
    result = answer;
    deliver();
  }

  /** Ends it without a result: who waited computes for himself. */
  synchronized void abandon() {
    abandoned = true;
    deliver();
  }

  private void deliver() {
    followers.forEach(follower -> follower.mailbox.accept(new Delivery(follower.request, result)));
    followers.clear();
  }
}
