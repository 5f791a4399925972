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

import dev.moontide.api.MoontideException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import jcuda.driver.CUresult;
import jcuda.driver.JCudaDriver;
import org.jspecify.annotations.Nullable;

/**
 * The process's CUDA driver, loaded on first use. JCuda's classes fail in another way the second
 * time they fail to load, so the verdict is kept.
 */
final class CudaDriver {
  /** CUDA 12.0, whose driver API JCuda calls. */
  private static final int OLDEST = 12_000;

  private static boolean isLoaded;
  private static @Nullable String missing;

  private final int version;

  private CudaDriver(int version) {
    this.version = version;
  }

  /**
   * The driver.
   *
   * @throws MoontideException that says what is missing on this machine
   */
  static synchronized CudaDriver load() {
    if (missing != null) {
      throw MoontideException.configuration("%s", missing);
    }
    if (!isLoaded) {
      try {
        touchJCuda();
        isLoaded = true;
      } catch (LinkageError e) {
        missing =
            "CUDA is not available: the driver's library libcuda.so.1 cannot be loaded (%s): install"
                    .formatted(reason(e))
                + " the NVIDIA driver on this machine, or use --backend cpu";
        throw MoontideException.configuration("%s", missing);
      }
    }
    return initialise();
  }

  /**
   * Makes JCuda load its native library. It unpacks it under a fixed name into the temporary folder
   * and takes whatever lies there already, so for that moment the folder is one of this process.
   */
  private static void touchJCuda() {
    String property = "java.io.tmpdir";
    String shared = System.getProperty(property);
    try {
      Path own = Files.createTempDirectory("moontide-cuda");
      try {
        System.setProperty(property, own.toString());
        JCudaDriver.setExceptionsEnabled(false);
      } finally {
        System.setProperty(property, shared);
        delete(own);
      }
    } catch (IOException e) {
      throw MoontideException.configuration(
          "CUDA is not available: cannot unpack its binding into %s: %s", shared, e);
    }
  }

  /** What is loaded stays loaded without its file. */
  private static void delete(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      for (Path file : files.toList()) {
        Files.delete(file);
      }
    }
    Files.delete(folder);
  }

  /** The line that tells, of a message with two stack traces in it. */
  private static String reason(LinkageError e) {
    List<String> lines = String.valueOf(e.getMessage()).lines().toList();
    return lines.stream()
        .filter(line -> line.contains("libcuda"))
        .findFirst()
        .orElse(lines.isEmpty() ? e.toString() : lines.get(0));
  }

  private static CudaDriver initialise() {
    int result = JCudaDriver.cuInit(0);
    if (result == CUresult.CUDA_ERROR_NO_DEVICE) {
      throw MoontideException.configuration(
          "CUDA is not available: the driver sees no device (cuInit returned %s): check nvidia-smi"
              + " and CUDA_VISIBLE_DEVICES, or use --backend cpu",
          CUresult.stringFor(result));
    }
    Calls.check(result, "cuInit");
    int[] version = new int[1];
    Calls.check(JCudaDriver.cuDriverGetVersion(version), "cuDriverGetVersion");
    if (version[0] < OLDEST) {
      throw MoontideException.configuration(
          "CUDA is not available: the driver supports CUDA %s, and %s or newer is needed: update"
              + " the NVIDIA driver, or use --backend cpu",
          text(version[0]), text(OLDEST));
    }
    return new CudaDriver(version[0]);
  }

  /** The CUDA version it supports: {@code "13.0"}. */
  String version() {
    return text(version);
  }

  private static String text(int version) {
    return version / 1000 + "." + version % 1000 / 10;
  }

  /** Devices it sees. */
  int devices() {
    int[] count = new int[1];
    Calls.check(JCudaDriver.cuDeviceGetCount(count), "cuDeviceGetCount");
    return count[0];
  }
}
