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

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerExecutorMetricsUpdate;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import scala.jdk.javaapi.CollectionConverters;

/**
 * What tasks that have not ended say with their heartbeats; Spark itself adds a task's counts only
 * when it ends, which is no progress to show where one task runs for an hour.
 */
final class RunningTasks extends SparkListener {
  private final long accumulatorId;
  private final Map<Long, JobMetrics.Snapshot> countsByTask = new ConcurrentHashMap<>();

  RunningTasks(long accumulatorId) {
    this.accumulatorId = accumulatorId;
  }

  JobMetrics.Snapshot counts() {
    return countsByTask.values().stream()
        .reduce(JobMetrics.Snapshot.ZERO, JobMetrics.Snapshot::plus);
  }

  @Override
  public void onExecutorMetricsUpdate(SparkListenerExecutorMetricsUpdate heartbeat) {
    for (var task : CollectionConverters.asJava(heartbeat.accumUpdates())) {
      for (var update : CollectionConverters.asJava(task._4())) {
        if (update.id() == accumulatorId
            && update.update().isDefined()
            && update.update().get() instanceof JobMetrics.Snapshot counts) {
          countsByTask.put((Long) task._1(), counts);
        }
      }
    }
  }

  @Override
  public void onTaskEnd(SparkListenerTaskEnd end) {
    countsByTask.remove(end.taskInfo().taskId());
  }
}
