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
import java.util.HashMap;
import java.util.Map;
import org.apache.spark.SparkContext;
import org.apache.spark.util.AccumulatorV2;
import org.jspecify.annotations.Nullable;

/**
 * Counts of a job's rows, updated by its tasks batch by batch.
 *
 * <p>Spark adds a task's counts when it ends; a task that is retried after some of its work was
 * lost, a speculative copy, and a dataset that is computed twice count twice. They serve progress
 * and a summary; a figure to publish, such as accuracy, is computed from the output.
 */
public final class JobMetrics implements Serializable {
  private static final String NAME = "moontide";

  /** Labels counted by name at most; a closed set is smaller, a column of choices may not be. */
  static final int MAX_LABELS = 10_000;

  /** Reasons of errors counted by name at most. */
  static final int MAX_REASONS = 100;

  /**
   * The counts at one moment.
   *
   * @param rows rows that left, error rows included
   * @param errors error rows
   * @param reused rows whose answer was not computed for them: a finished result of an earlier run,
   *     of a task that was retried, or of an equal row
   * @param promptTokens tokens of prompts
   * @param cachedTokens of those, taken from the prefix cache
   * @param completionTokens tokens generated
   * @param promptSeconds time making prompts of rows, summed over tasks
   * @param engineSeconds time waiting for the engine, summed over tasks
   * @param arrowSeconds time moving rows into Arrow batches and out, summed over tasks
   * @param storeSeconds time looking up and keeping finished results, summed over tasks
   * @param reasons error rows by reason, where what differs between rows is left out; of more than
   *     100 reasons, those met first
   * @param labels rows by label; of more than 10,000 labels, those met first
   * @param truths rows with a known truth, 0 without a truth column
   * @param correct of those, rows whose label is the truth; an error row's is not
   */
  public record Snapshot(
      long rows,
      long errors,
      long reused,
      long promptTokens,
      long cachedTokens,
      long completionTokens,
      double promptSeconds,
      double engineSeconds,
      double arrowSeconds,
      double storeSeconds,
      Map<String, Long> reasons,
      Map<String, Long> labels,
      long truths,
      long correct)
      implements Serializable {

    /** No rows. */
    static final Snapshot ZERO =
        new Snapshot(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, Map.of(), Map.of(), 0, 0);

    /** The counts of both. */
    Snapshot plus(Snapshot other) {
      return new Snapshot(
          rows + other.rows,
          errors + other.errors,
          reused + other.reused,
          promptTokens + other.promptTokens,
          cachedTokens + other.cachedTokens,
          completionTokens + other.completionTokens,
          promptSeconds + other.promptSeconds,
          engineSeconds + other.engineSeconds,
          arrowSeconds + other.arrowSeconds,
          storeSeconds + other.storeSeconds,
          merge(reasons, other.reasons, MAX_REASONS),
          merge(labels, other.labels, MAX_LABELS),
          truths + other.truths,
          correct + other.correct);
    }

    private static Map<String, Long> merge(
        Map<String, Long> first, Map<String, Long> second, int bound) {
      if (second.isEmpty()) {
        return first;
      }
      Map<String, Long> sum = new HashMap<>(first);
      second.forEach(
          (text, count) -> {
            if (sum.containsKey(text) || sum.size() < bound) {
              sum.merge(text, count, Long::sum);
            }
          });
      return sum;
    }
  }

  private final Total total = new Total();
  private final transient @Nullable SparkContext context;
  private final transient @Nullable RunningTasks running;

  /** Counts for the tasks of {@code context}. */
  JobMetrics(SparkContext context) {
    this.context = context;
    context.register(total, NAME);
    running = new RunningTasks(total.id());
    context.addSparkListener(running);
  }

  /**
   * The counts so far, on the driver: those of finished tasks, and what running tasks said with
   * their last heartbeat ({@code spark.executor.heartbeatInterval}).
   */
  public Snapshot snapshot() {
    return running == null ? total.value() : total.value().plus(running.counts());
  }

  /**
   * The counts of finished tasks alone, on the driver, exact once a job is done: Spark adds a
   * partition's counts once, from the attempt whose rows it takes, as long as no shuffle's output
   * is lost and computed again.
   */
  public Snapshot finished() {
    return total.value();
  }

  /** Whether these are counts for tasks of {@code other}. */
  @SuppressWarnings("ReferenceEquality") // contexts have no other equality
  boolean isOf(SparkContext other) {
    return context == other;
  }

  /** Adds a task's counts, on its executor. */
  public void add(Snapshot counts) {
    total.add(counts);
  }

  /** The sum over tasks; Spark's heartbeat reads it while its task adds. */
  private static final class Total extends AccumulatorV2<Snapshot, Snapshot> {
    private volatile Snapshot sum = Snapshot.ZERO;

    @Override
    public boolean isZero() {
      return sum.rows == 0;
    }

    @Override
    public Total copy() {
      Total copy = new Total();
      copy.sum = sum;
      return copy;
    }

    @Override
    public void reset() {
      sum = Snapshot.ZERO;
    }

    @Override
    public void add(Snapshot counts) {
      sum = sum.plus(counts);
    }

    @Override
    public void merge(AccumulatorV2<Snapshot, Snapshot> other) {
      add(other.value());
    }

    @Override
    public Snapshot value() {
      return sum;
    }
  }
}
