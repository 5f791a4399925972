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

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.spark.JobOptions;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class OptionGroupTest {
  @Test
  void everyOptionOfTheTransformCanBeTyped() {
    Set<String> missing = new TreeSet<>(JobOptions.names());
    missing.remove("task");
    Stream.of(JobCommand.label(), JobCommand.generate(), JobCommand.score())
        .flatMap(command -> names(command).stream())
        .forEach(missing::remove);
    assertEquals(Set.of(), missing);
  }

  @Test
  void noCommandHasAnOptionTwice() {
    for (Command command : List.of(JobCommand.label(), JobCommand.generate(), JobCommand.score())) {
      List<String> names = names(command);
      assertEquals(new HashSet<>(names).size(), names.size(), command.name());
      assertTrue(names.stream().allMatch(name -> name.equals(CommandOption.kebabCase(name))));
    }
  }

  private static List<String> names(Command command) {
    return command.options().stream()
        .flatMap(group -> group.options().stream())
        .map(CommandOption::name)
        .toList();
  }
}
