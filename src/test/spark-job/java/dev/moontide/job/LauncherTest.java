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

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.launcher.JavaModuleOptions;
import org.junit.jupiter.api.Test;

class LauncherTest {
  @Test
  void theLauncherGivesTheJvmWhatSparksLauncherWould() throws Exception {
    String script = Files.readString(Path.of(System.getProperty("moontide.root"), "moontide"));
    int start = script.indexOf("module_options=(\n") + "module_options=(\n".length();
    List<String> given =
        script.substring(start, script.indexOf("\n)", start)).lines().map(String::strip).toList();
    assertEquals(
        Arrays.asList(JavaModuleOptions.defaultModuleOptions().strip().split("\\s+")), given);
  }
}
