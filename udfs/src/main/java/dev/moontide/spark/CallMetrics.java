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

import java.util.Collections;
import java.util.Map;
import java.util.WeakHashMap;
import org.apache.spark.sql.SparkSession;
import org.jspecify.annotations.Nullable;

/** Counts of what the calls of SQL functions ask, summed over a session's queries. */
public final class CallMetrics {
  private static final Map<SparkSession, JobMetrics> WATCHED =
      Collections.synchronizedMap(new WeakHashMap<>());

  private CallMetrics() {}

  /** The counts of {@code session}, from the first time that they are asked for. */
  public static JobMetrics of(SparkSession session) {
    return WATCHED.computeIfAbsent(session, watched -> new JobMetrics(watched.sparkContext()));
  }

  /** The same if anyone asked for them: a session whose counts no one reads has none. */
  public static @Nullable JobMetrics watched(SparkSession session) {
    return WATCHED.get(session);
  }
}
