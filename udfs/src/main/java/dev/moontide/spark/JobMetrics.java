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

import java.io.Serializable;
import java.util.Map;

/**
 * Counts of a job's rows, updated by its tasks batch by batch.
 *
 * <p>Spark adds a task's counts when it ends; a task that is retried after some of its work was
 * lost, a speculative copy, and a dataset that is computed twice count twice. They serve progress
 * and a summary; a figure to publish, such as accuracy, is computed from the output.
 */
public final class JobMetrics implements Serializable {
  /**
   * The counts at one moment.
   *
   * @param rows rows that left, error rows included
   * @param errors error rows
   * @param promptTokens tokens of prompts
   * @param cachedTokens of those, taken from the prefix cache
   * @param completionTokens tokens generated
   * @param promptSeconds time making prompts of rows, summed over tasks
   * @param engineSeconds time waiting for the engine, summed over tasks
   * @param arrowSeconds time moving rows into Arrow batches and out, summed over tasks
   * @param labels rows by label, most frequent first; labels beyond a bound are left out
   * @param truths rows with a known truth, 0 without a truth column
   * @param correct of those, rows whose label is the truth
   */
  public record Snapshot(
      long rows,
      long errors,
      long promptTokens,
      long cachedTokens,
      long completionTokens,
      double promptSeconds,
      double engineSeconds,
      double arrowSeconds,
      Map<String, Long> labels,
      long truths,
      long correct) {}

  JobMetrics() {}

  /** The counts so far. */
  public Snapshot snapshot() {
    throw new IllegalStateException("skeleton");
  }
}
