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
