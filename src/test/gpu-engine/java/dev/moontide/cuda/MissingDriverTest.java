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
package dev.moontide.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import dev.moontide.api.MoontideException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;

/** A machine without the NVIDIA driver: a JVM of its own, as this one's driver is emulated. */
class MissingDriverTest {
  /** Asks twice: JCuda's classes fail in another way the second time. */
  static final class Ask {
    private Ask() {}

    public static void main(String[] arguments) {
      for (int i = 0; i < 2; i++) {
        try (CudaDevice device = CudaDevice.open(0)) {
          System.out.println(device.description());
        } catch (MoontideException e) {
          System.out.println(e.category() + " " + e.getMessage());
        }
      }
    }
  }

  @Test
  void saysThatTheDriverIsMissing() throws IOException {
    assumeFalse(
        Files.exists(Path.of("/usr/lib/x86_64-linux-gnu/libcuda.so.1")), "this machine has one");
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-cp",
                System.getProperty("java.class.path"),
                Ask.class.getName())
            .redirectError(ProcessBuilder.Redirect.DISCARD)
            .start();
    List<String> lines =
        new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8)
            .lines()
            .toList();
    assertEquals(2, lines.size(), lines.toString());
    for (String line : lines) {
      assertTrue(
          line.startsWith("CONFIGURATION CUDA is not available: the driver's library libcuda.so.1"),
          line);
      assertTrue(line.endsWith("or use --backend cpu"), line);
    }
  }
}
