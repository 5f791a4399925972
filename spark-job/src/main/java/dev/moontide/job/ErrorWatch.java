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
import dev.moontide.spark.JobMetrics;
import java.util.UUID;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import org.apache.spark.SparkContext;
import org.jspecify.annotations.Nullable;

/** Ends the Spark jobs that a thread starts once more rows failed than may. */
final class ErrorWatch {
  private static final long EVERY_MILLIS = 200;

  private final SparkContext context;
  private final ErrorLimit limit;
  private final Supplier<JobMetrics.Snapshot> counts;
  private final String group = "moontide-" + UUID.randomUUID();
  private volatile JobMetrics.@Nullable Snapshot exceeded;

  /**
   * @param counts those so far; called from another thread
   */
  ErrorWatch(SparkContext context, ErrorLimit limit, Supplier<JobMetrics.Snapshot> counts) {
    this.context = context;
    this.limit = limit;
    this.counts = counts;
  }

  /**
   * Runs {@code work} under the watch.
   *
   * @throws MoontideException of category engine, with the most frequent reasons, if too many rows
   *     failed
   */
  void over(Runnable work) {
    ScheduledExecutorService ticks =
        Executors.newSingleThreadScheduledExecutor(
            runnable -> {
              Thread thread = new Thread(runnable, "moontide-errors");
              thread.setDaemon(true);
              return thread;
            });
    context.setJobGroup(group, "moontide", true);
    try {
      var unused =
          ticks.scheduleWithFixedDelay(
              this::look, EVERY_MILLIS, EVERY_MILLIS, TimeUnit.MILLISECONDS);
      work.run();
    } catch (Exception cancelled) { // SparkException is checked, but Scala does not declare it
      JobMetrics.Snapshot seen = exceeded;
      if (seen != null) {
        throw new MoontideException(
            MoontideException.Category.ENGINE, limit.message(seen), cancelled);
      }
      throw cancelled;
    } finally {
      ticks.shutdownNow();
      context.clearJobGroup();
    }
  }

  private void look() {
    JobMetrics.Snapshot now = counts.get();
    if (exceeded == null && limit.isExceededSoFar(now)) {
      exceeded = now;
      context.cancelJobGroup(group, limit.message(now));
    }
  }
}
