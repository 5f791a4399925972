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

import dev.moontide.spark.ExclusiveOptions;
import java.util.List;
import java.util.Optional;

/** A command of {@code moontide}. */
interface Command {
  /** As typed. */
  String name();

  /** One sentence for the list of commands. */
  String description();

  /** Its options, as the help groups them. */
  List<OptionGroup> options();

  /** Those of its options that exclude each other. */
  default ExclusiveOptions exclusive() {
    return ExclusiveOptions.OF_JOBS;
  }

  /** The option whose value may also be typed without its name, if there is one. */
  default Optional<CommandOption> operand() {
    return Optional.empty();
  }

  /** Lines of the help between the options and the examples. */
  default List<String> notes() {
    return List.of();
  }

  /** Complete command lines, for the end of the help. */
  List<String> examples();

  /**
   * Runs it.
   *
   * @return the exit status: 0 done, 1 what was asked for was found wanting
   * @throws dev.moontide.api.MoontideException if it fails; of the category CONFIGURATION if
   *     nothing was started
   */
  int run(Values values, Console console);
}
