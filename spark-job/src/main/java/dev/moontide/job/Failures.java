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
package dev.moontide.job;

import dev.moontide.api.MoontideException;
import java.util.ArrayList;
import java.util.List;

/** What to tell of an exception. */
final class Failures {
  private Failures() {}

  /**
   * The message of Moontide's own exception among the causes, else of the deepest cause: what wraps
   * it (a stage, a task, a write) says nothing of what to do. It is one line, but for a checkpoint
   * with several problems.
   */
  static String message(Throwable failure) {
    List<Throwable> causes = causes(failure);
    Throwable told =
        causes.stream()
            .filter(MoontideException.class::isInstance)
            .findFirst()
            .orElse(causes.get(causes.size() - 1));
    String message = told.getMessage();
    if (message == null || message.isBlank()) {
      return told.getClass().getName();
    }
    if (!message.contains(
        " ")) { // the name of a host, a file, a class: what of it says the exception
      return told.getClass().getSimpleName() + ": " + message;
    }
    boolean isList =
        told instanceof MoontideException known
            && known.category() == MoontideException.Category.CHECKPOINT;
    return isList ? message.strip() : message.strip().lines().findFirst().orElse("").strip();
  }

  /** Whether nothing was started because of options or configuration. */
  static boolean isConfiguration(Throwable failure) {
    return failure instanceof MoontideException known
        && known.category() == MoontideException.Category.CONFIGURATION;
  }

  /** It and its causes, in this order. */
  static List<Throwable> causes(Throwable failure) {
    List<Throwable> causes = new ArrayList<>();
    for (Throwable cause = failure;
        cause != null && !causes.contains(cause);
        cause = cause.getCause()) {
      causes.add(cause);
    }
    return causes;
  }
}
