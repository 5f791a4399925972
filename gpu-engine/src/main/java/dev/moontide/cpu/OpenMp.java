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
package dev.moontide.cpu;

import java.util.concurrent.atomic.AtomicBoolean;
import org.slf4j.Logger;

/**
 * oneDNN's own threads, which only cost: the backend runs one product a thread on threads of its
 * own. The library reads how many to use from the environment when it loads, so a process cannot
 * set it for itself.
 */
final class OpenMp {
  private static final AtomicBoolean WARNED = new AtomicBoolean();

  private OpenMp() {}

  static void warnOnce(Logger log) {
    String threads = System.getenv("OMP_NUM_THREADS");
    if (!"1".equals(threads) && WARNED.compareAndSet(false, true)) {
      log.warn(
          "OMP_NUM_THREADS is {}: start the process with OMP_NUM_THREADS=1 and"
              + " OMP_WAIT_POLICY=passive (on Spark, spark.executorEnv.*), or oneDNN's threads and"
              + " the engine's will compete; results stay the same, only slower",
          threads == null ? "not set" : threads);
    }
  }
}
