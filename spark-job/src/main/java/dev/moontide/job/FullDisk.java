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
import java.util.List;
import java.util.Objects;
import org.apache.spark.SparkException;

/** Says which folder is full and what to do, where Spark passes on only that something is. */
final class FullDisk {
  private static final List<String> SIGNS =
      List.of("No space left on device", "Disk quota exceeded", "DSQuotaExceededException");

  /** What Spark says of the stage that writes. */
  private static final List<String> WRITING = List.of("while writing rows");

  private static final String REMEDY =
      "make room and run the job again, which goes on from its finished results";

  private FullDisk() {}

  /**
   * Throws in place of {@code failure}, if that is what it means and no message of Moontide's own
   * says where.
   *
   * @param output the folder that was written
   * @throws MoontideException of category engine
   */
  static void check(Exception failure, String output) {
    List<Throwable> causes = Failures.causes(failure);
    boolean isFull = causes.stream().anyMatch(cause -> says(cause, SIGNS));
    if (!isFull || causes.stream().anyMatch(MoontideException.class::isInstance)) {
      return;
    }
    boolean inTask = causes.stream().anyMatch(SparkException.class::isInstance);
    boolean inOutput = !inTask || causes.stream().anyMatch(cause -> says(cause, WRITING));
    throw new MoontideException(
        MoontideException.Category.ENGINE,
        inOutput
            ? "no space is left in %s, where the output is written: %s".formatted(output, REMEDY)
            : "no space is left on an executor's local disk (spark.local.dir): " + REMEDY,
        failure);
  }

  private static boolean says(Throwable cause, List<String> signs) {
    String message = Objects.requireNonNullElse(cause.getMessage(), "");
    return signs.stream().anyMatch(message::contains);
  }
}
