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

import dev.moontide.api.MoontideException;
import org.apache.spark.SparkEnv;
import org.apache.spark.TaskContext;
import org.apache.spark.util.TaskFailureListener;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Ends an executor whose process has lost its GPU: after such an error every call of the driver's
 * fails until the process is a new one, so each further task sent here would fail too. Spark then
 * starts another executor and tries the tasks there. In local mode the executor is the driver,
 * which stays, and the job fails.
 */
public final class LostDevice implements TaskFailureListener {
  /** The process's exit status, in the log of whatever watches executors. */
  static final int EXIT_STATUS = 74;

  /** What Spark names the driver where it runs tasks itself: its constant is Scala's own. */
  private static final String DRIVER = "driver";

  private static final Logger LOG = LoggerFactory.getLogger(LostDevice.class);

  @Override
  public void onTaskFailure(TaskContext task, Throwable error) {
    String executor = SparkEnv.get().executorId();
    if (endsExecutor(error, executor)) {
      LOG.error(
          "the GPU is lost to this process: executor {} ends with status {}; its tasks are retried"
              + " on another. {}",
          executor,
          EXIT_STATUS,
          error.toString());
      // Not exit: hooks that free the device's memory could wait for it for ever.
      Runtime.getRuntime().halt(EXIT_STATUS);
    }
  }

  /**
   * Whether {@code error}, or what caused it, is a lost device and {@code executor} not the driver.
   */
  static boolean endsExecutor(Throwable error, String executor) {
    if (executor.equals(DRIVER)) {
      return false;
    }
    for (Throwable cause = error; cause != null; cause = cause.getCause()) {
      if (cause instanceof MoontideException known
          && known.category() == MoontideException.Category.DEVICE) {
        return true;
      }
    }
    return false;
  }
}
