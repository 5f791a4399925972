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

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.management.ManagementFactory;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.launcher.JavaModuleOptions;
import org.junit.jupiter.api.Test;

class JvmOptionsTest {
  /** The options in the root's pom are a copy, which a new Spark would make old. */
  @Test
  void testsRunWithTheOptionsSparkWouldAdd() {
    List<String> given = ManagementFactory.getRuntimeMXBean().getInputArguments();
    List<String> missing =
        Arrays.stream(JavaModuleOptions.defaultModuleOptions().split(" "))
            .filter(option -> !option.isEmpty() && !given.contains(option))
            .toList();
    assertEquals(List.of(), missing);
  }
}
