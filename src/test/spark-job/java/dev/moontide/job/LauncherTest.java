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
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.apache.spark.launcher.JavaModuleOptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The launcher as it is, with a {@code java} that prints its arguments. */
class LauncherTest {
  @TempDir Path folder;

  @Test
  void theLauncherGivesTheJvmWhatSparksLauncherWould() throws Exception {
    String script = Files.readString(Path.of(System.getProperty("moontide.root"), "moontide"));
    int start = script.indexOf("module_options=(\n") + "module_options=(\n".length();
    List<String> given =
        script.substring(start, script.indexOf("\n)", start)).lines().map(String::strip).toList();
    assertEquals(
        Arrays.asList(JavaModuleOptions.defaultModuleOptions().strip().split("\\s+")), given);
  }

  @Test
  void sparksOptionsMayStandAnywhereAndInBothForms() throws Exception {
    List<String> started =
        launched(
            Map.of(),
            "--master=local[2]",
            "label",
            "--labels",
            "a,b=c",
            "--name=x y",
            "--queue",
            "q",
            "--repositories=r=s",
            "--supervise",
            "-c",
            "spark.x=1",
            "--prompt=--name",
            "--archives",
            "one,two");
    int submit = started.indexOf("org.apache.spark.deploy.SparkSubmit");
    int jar = started.lastIndexOf(root().resolve("spark-job/target/moontide-1.jar").toString());
    assertEquals(
        List.of(
            "--master",
            "local[2]",
            "--name",
            "x y",
            "--queue",
            "q",
            "--repositories",
            "r=s",
            "--supervise",
            "-c",
            "spark.x=1",
            "--archives",
            "one,two"),
        started.subList(submit + 1, started.indexOf("spark.executorEnv.OMP_NUM_THREADS=1") - 1));
    assertEquals(
        List.of("label", "--labels", "a,b=c", "--prompt=--name"),
        started.subList(jar + 1, started.size() - 1));
  }

  @Test
  void theDriversJvmGetsWhatSparkWouldGiveIt() throws Exception {
    List<String> started =
        launched(
            Map.of("LD_LIBRARY_PATH", "/there"),
            "sql",
            "SELECT 1",
            "--driver-memory=3g",
            "--conf",
            "spark.driver.defaultJavaOptions=-Da=1",
            "--driver-java-options",
            "-Dx='1 2' -Dy=3",
            "--driver-class-path",
            "first.jar",
            "--driver-library-path",
            "/native");
    assertTrue(started.containsAll(List.of("-Xmx3g", "-Da=1", "-Dx=1 2", "-Dy=3")), told(started));
    assertTrue(
        started.get(started.indexOf("-cp") + 1).startsWith("first.jar:" + root()), told(started));
    assertEquals("LD_LIBRARY_PATH=/native:/there", started.get(started.size() - 1));
  }

  @Test
  void theLastSayingOfADriversOptionCountsThenAFileOfProperties() throws Exception {
    Path properties = folder.resolve("job.conf");
    Files.writeString(
        properties,
        """
        # spark.driver.memory 1g
        spark.driver.memoryOverhead 9g
          spark.driver.memory   2g\s
        spark.driver.extraJavaOptions=-Dfile=1
        spark.driver.extraClassPath: file.jar
        """);
    List<String> started =
        launched(
            Map.of(),
            "sql",
            "--properties-file=" + properties,
            "--driver-java-options",
            "-Dx=1",
            "--conf=spark.driver.extraJavaOptions=-Dy=2");
    assertTrue(started.containsAll(List.of("-Xmx2g", "-Dy=2")), told(started));
    List<String> ofJvm = started.subList(0, started.indexOf("-cp"));
    assertFalse(ofJvm.contains("-Dx=1") || ofJvm.contains("-Dfile=1"), told(started));
    assertTrue(started.get(started.indexOf("-cp") + 1).startsWith("file.jar:"), told(started));
    Files.move(properties, folder.resolve("spark-defaults.conf"));
    started = launched(Map.of("SPARK_CONF_DIR", folder.toString()), "sql");
    assertTrue(started.containsAll(List.of("-Xmx2g", "-Dfile=1")), told(started));
    started = launched(Map.of(), "sql", "--deploy-mode", "cluster", "--driver-memory", "3g");
    assertFalse(started.contains("-Xmx3g"), told(started));
  }

  @Test
  void anOptionOfSparksWithoutItsValueIsTold() throws Exception {
    assertEquals(
        List.of("moontide: --master needs a value"), launched(Map.of(), "label", "--master"));
  }

  private Path root() throws IOException {
    return folder.toRealPath().resolve("root");
  }

  /** What {@code java} is started with, and where it looks for native libraries. */
  private List<String> launched(Map<String, String> environment, String... arguments)
      throws Exception {
    for (String module : List.of("gpu-engine", "udfs", "spark-job")) {
      Files.createDirectories(root().resolve(module + "/src/main"));
      Files.writeString(root().resolve(module + "/pom.xml"), "");
    }
    Files.writeString(root().resolve("pom.xml"), "");
    Path target = Files.createDirectories(root().resolve("spark-job/target"));
    Path java = Files.createDirectories(folder.resolve("jdk/bin")).resolve("java");
    Files.writeString(
        java, "#!/bin/sh\nprintf '%s\\n' \"$@\" \"LD_LIBRARY_PATH=$LD_LIBRARY_PATH\"\n");
    Files.setPosixFilePermissions(java, PosixFilePermissions.fromString("rwxr-xr-x"));
    Files.writeString(folder.resolve("jdk/release"), "JAVA_VERSION=\"17.0.1\"\n");
    Files.writeString(target.resolve("spark-class-path"), java.toString());
    Files.writeString(target.resolve("moontide-1.jar"), "");
    Path script = root().resolve("moontide");
    Files.copy(
        Path.of(System.getProperty("moontide.root"), "moontide"),
        script,
        StandardCopyOption.REPLACE_EXISTING);
    List<String> command = new ArrayList<>(List.of("bash", script.toString()));
    command.addAll(List.of(arguments));
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
    builder.environment().keySet().removeIf(name -> name.matches("SPARK_.*|LD_LIBRARY_PATH"));
    builder.environment().put("JAVA_HOME", folder.resolve("jdk").toString());
    builder.environment().putAll(environment);
    Process process = builder.start();
    String told = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    process.waitFor();
    return told.lines().toList();
  }

  private static String told(List<String> started) {
    return String.join("\n", started);
  }
}
