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

import dev.moontide.api.GenerationResult;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Counts of the rows that left, and time by phase, since the last {@link #take}. For one thread.
 */
final class Tally {
  private long rows;
  private long errors;
  private long reused;
  private Map<String, Long> reasons = new HashMap<>();
  private long promptTokens;
  private long cachedTokens;
  private long completionTokens;
  private Map<String, Long> labels = new HashMap<>();
  private long truths;
  private long correct;

  private long promptNanos;
  private long engineNanos;
  private long arrowNanos;
  private long storeNanos;

  /** Counts a row as it leaves; {@code truth} is its right label, if that is known. */
  void count(AnswerColumns answer, @Nullable String truth) {
    rows++;
    String error = answer.error();
    if (error != null) {
      errors++;
      reasons.merge(ErrorReason.of(error), 1L, Long::sum);
    }
    promptTokens += answer.promptTokens();
    completionTokens += answer.completionTokens();
    String label = answer.label();
    if (label != null) {
      labels.merge(label, 1L, Long::sum);
    }
    if (truth != null) {
      truths++;
      correct += truth.equals(label) ? 1 : 0;
    }
  }

  /** Counts what the engine had computed of a prompt before; {@code result} is its answer. */
  void countCached(GenerationResult result) {
    cachedTokens += result.cachedTokens();
  }

  /** Counts a row whose answer was not computed for it. */
  void countReused() {
    reused++;
  }

  void addPromptNanos(long nanos) {
    promptNanos += nanos;
  }

  void addEngineNanos(long nanos) {
    engineNanos += nanos;
  }

  void addArrowNanos(long nanos) {
    arrowNanos += nanos;
  }

  void addStoreNanos(long nanos) {
    storeNanos += nanos;
  }

  /** Rows counted. */
  long rows() {
    return rows;
  }

  /** The counts, which start again from zero. */
  JobMetrics.Snapshot take() {
    JobMetrics.Snapshot counts =
        new JobMetrics.Snapshot(
            rows,
            errors,
            reused,
            promptTokens,
            cachedTokens,
            completionTokens,
            promptNanos / 1e9,
            engineNanos / 1e9,
            arrowNanos / 1e9,
            storeNanos / 1e9,
            reasons,
            labels,
            truths,
            correct);
    rows = 0;
    errors = 0;
    reused = 0;
    reasons = new HashMap<>();
    promptTokens = 0;
    cachedTokens = 0;
    completionTokens = 0;
    promptNanos = 0;
    engineNanos = 0;
    arrowNanos = 0;
    storeNanos = 0;
    labels = new HashMap<>();
    truths = 0;
    correct = 0;
    return counts;
  }
}
