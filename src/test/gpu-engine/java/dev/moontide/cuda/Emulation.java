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

import static org.junit.jupiter.api.Assertions.fail;
import static org.junit.jupiter.api.Assumptions.abort;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/**
 * A CUDA driver in host memory under the real JCuda, and the kernels compiled for the host: the
 * whole backend runs without a GPU. What this can and cannot show stands in {@code emulation.h} and
 * {@code driver.c}. Needs gcc and g++.
 */
public final class Emulation {
  private static final Path ROOT = Path.of(System.getProperty("moontide.root"));
  private static final Path KERNELS = ROOT.resolve("gpu-engine/src/main/cuda");
  private static final Path SOURCES = ROOT.resolve("src/test/gpu-engine/cuda");
  private static final Path FOLDER = ROOT.resolve("gpu-engine/target/cuda-emulation");

  /** Whether tests run on this machine's own device: {@code -Dmoontide.test.gpu=true}. */
  private static final boolean OFF = Boolean.getBoolean("moontide.test.gpu");

  private static boolean started;

  private Emulation() {}

  /** Builds what changed, and makes this JVM's CUDA driver the emulated one. */
  public static synchronized void start() {
    if (started || OFF) {
      return;
    }
    require("gcc");
    require("g++");
    try {
      Files.createDirectories(FOLDER);
      Path driver = FOLDER.resolve("libcuda.so.1");
      build(
          driver,
          List.of(SOURCES.resolve("driver.c")),
          "gcc -std=gnu11 -O1 -Wall -Wextra -Werror -fPIC -shared -Wl,-soname,libcuda.so.1 -o "
              + driver
              + " "
              + SOURCES.resolve("driver.c")
              + " -ldl -lpthread");
      Files.writeString(
          FOLDER.resolve("emulated.fatbin"), "emulation:" + kernels(KERNELS, "kernels.so"));
      Files.writeString(
          FOLDER.resolve("mma-emulated.fatbin"),
          "emulation:" + kernels(KERNELS.resolve("mma"), "mma.so"));
      Files.writeString(FOLDER.resolve("hopper-emulated.fatbin"), "emulation:" + hopperKernels());
      Files.writeString(
          FOLDER.resolve("kernels.list"),
          "emulated.fatbin\nmma-emulated.fatbin\nhopper-emulated.fatbin\n");
      configure();
      System.load(driver.toString());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    System.setProperty(KernelImages.PROPERTY, FOLDER.toString());
    started = true;
  }

  /** Makes the device what the lines say ({@code driver.c}) for those who open it from now on. */
  public static void configure(String... lines) {
    if (OFF) {
      return;
    }
    try {
      Files.write(FOLDER.resolve("device.conf"), Arrays.asList(lines));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static final String COMPILE =
      "g++ -std=c++17 -O3 -march=x86-64-v3 -ffp-contract=off -Wall -Wextra -Werror"
          + " -Wno-unknown-pragmas -fPIC -I"
          + SOURCES
          + " -I"
          + KERNELS;

  /** The Hopper kernels' contracts, kept by loops. */
  private static Path hopperKernels() throws IOException {
    Path source = SOURCES.resolve("hopper.cc");
    Path library = FOLDER.resolve("hopper.so");
    List<Path> inputs = files(KERNELS.resolve("hopper"), "layout.cuh");
    inputs.add(KERNELS.resolve("device.cuh"));
    inputs.add(SOURCES.resolve("emulation.h"));
    inputs.add(source);
    build(library, inputs, COMPILE + " -shared " + source + " -o " + library);
    return library;
  }

  /** The kernels of a folder, each thread a fiber. */
  private static Path kernels(Path folder, String name) throws IOException {
    List<Path> headers = files(KERNELS, ".cuh");
    headers.addAll(files(KERNELS.resolve("mma"), ".cuh"));
    headers.add(SOURCES.resolve("emulation.h"));
    String compile = COMPILE + " -DMOONTIDE_EMULATION";
    List<Path> sources = files(folder, ".cu");
    sources.add(SOURCES.resolve("emulation.cc"));
    List<Path> objects = new ArrayList<>();
    for (Path source : sources) {
      Path object = FOLDER.resolve(name + "." + source.getFileName() + ".o");
      List<Path> inputs = new ArrayList<>(headers);
      inputs.add(source);
      build(object, inputs, compile + " -x c++ -c " + source + " -o " + object);
      objects.add(object);
    }
    Path library = FOLDER.resolve(name);
    StringBuilder link = new StringBuilder("g++ -shared -o " + library);
    objects.forEach(object -> link.append(' ').append(object));
    build(library, objects, link.toString());
    return library;
  }

  private static List<Path> files(Path folder, String end) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return new ArrayList<>(files.filter(file -> file.toString().endsWith(end)).sorted().toList());
    }
  }

  private static void build(Path output, List<Path> inputs, String command) throws IOException {
    boolean current = Files.exists(output);
    for (Path input : inputs) {
      current =
          current
              && Files.getLastModifiedTime(input).compareTo(Files.getLastModifiedTime(output)) < 0;
    }
    if (!current) {
      run(command);
    }
  }

  private static void run(String command) throws IOException {
    Process process = new ProcessBuilder(command.split(" ")).redirectErrorStream(true).start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    try {
      if (!process.waitFor(5, TimeUnit.MINUTES) || process.exitValue() != 0) {
        fail(command + "\n" + output);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException(e);
    }
  }

  /** In CI a missing compiler is a failure; elsewhere the tests that need it say so. */
  private static void require(String compiler) {
    boolean found =
        Arrays.stream(System.getenv("PATH").split(":"))
            .anyMatch(folder -> Files.isExecutable(Path.of(folder, compiler)));
    String message = "the CUDA backend's tests need " + compiler + " on the PATH";
    if (!found && "true".equals(System.getenv("CI"))) {
      fail(message);
    } else if (!found) {
      abort(message);
    }
  }
}
