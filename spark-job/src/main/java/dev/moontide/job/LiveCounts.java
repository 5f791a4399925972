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

import dev.moontide.spark.JobMetrics;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.spark.scheduler.AccumulableInfo;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerExecutorMetricsUpdate;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import scala.jdk.javaapi.CollectionConverters;

/**
 * A job's counts while its tasks run. Spark adds a task's counts to the driver's when it ends; a
 * running task's come with its executor's heartbeat, and are added here.
 */
final class LiveCounts extends SparkListener {
  /**
   * The counts at one moment.
   *
   * @param rows that left
   * @param errors of these
   * @param tokens of prompts and responses
   */
  record Counts(long rows, long errors, long tokens) {
    Counts plus(Counts other) {
      return new Counts(rows + other.rows, errors + other.errors, tokens + other.tokens);
    }
  }

  private final JobMetrics metrics;
  private final Map<Long, Counts> running = new ConcurrentHashMap<>();

  LiveCounts(JobMetrics metrics) {
    this.metrics = metrics;
  }

  /** The counts now. */
  Counts now() {
    JobMetrics.Snapshot ended = metrics.snapshot();
    Counts counts =
        new Counts(ended.rows(), ended.errors(), ended.promptTokens() + ended.completionTokens());
    return running.values().stream().reduce(counts, Counts::plus);
  }

  @Override
  public void onExecutorMetricsUpdate(SparkListenerExecutorMetricsUpdate update) {
    CollectionConverters.asJava(update.accumUpdates())
        .forEach(
            task -> running.put((Long) task._1(), counts(CollectionConverters.asJava(task._4()))));
  }

  @Override
  public void onTaskEnd(SparkListenerTaskEnd end) {
    running.remove(end.taskInfo().taskId());
  }

  private static Counts counts(Iterable<AccumulableInfo> accumulators) {
    Map<String, Long> values = new HashMap<>();
    for (AccumulableInfo accumulator : accumulators) {
      if (accumulator.name().isDefined()
          && accumulator.update().isDefined()
          && accumulator.update().get() instanceof Long value) {
        values.put(accumulator.name().get(), value);
      }
    }
    return new Counts(
        values.getOrDefault("moontide.rows", 0L),
        values.getOrDefault("moontide.errors", 0L),
        values.getOrDefault("moontide.prompt_tokens", 0L)
            + values.getOrDefault("moontide.completion_tokens", 0L));
  }
}
