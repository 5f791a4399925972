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
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The compiled kernels: fatbins, one for each source, and a list of their names. They are in this
 * jar where it was built with nvcc; the system property {@code moontide.cuda.kernels} names a
 * folder to take them from instead.
 */
final class KernelImages {
  static final String PROPERTY = "moontide.cuda.kernels";
  private static final String LIST = "kernels.list";

  /** Ends what the names of a path's images begin with; the simple kernels' have none. */
  private static final char MARK = '-';

  private KernelImages() {}

  /**
   * The images of {@code path}, each ending with a zero byte.
   *
   * @throws MoontideException where this build has none
   */
  static List<byte[]> load(KernelPath path) {
    byte[] list = read(LIST);
    if (list == null) {
      throw MoontideException.configuration(
          "this build has no CUDA kernels: build it where nvcc 12.8 or newer is on the PATH (or in"
              + " /usr/local/cuda), or use --backend cpu");
    }
    List<byte[]> images = new ArrayList<>();
    for (String name : new String(list, StandardCharsets.UTF_8).lines().toList()) {
      int mark = name.indexOf(MARK);
      String owner = mark < 0 ? KernelPath.SIMPLE.toString() : name.substring(0, mark);
      if (!owner.equals(path.toString())) {
        continue;
      }
      byte[] image = read(name);
      if (image == null) {
        throw MoontideException.configuration(
            "the CUDA kernels of this build are incomplete: %s is missing: build it again", name);
      }
      images.add(Arrays.copyOf(image, image.length + 1));
    }
    return images;
  }

  private static byte @Nullable [] read(String name) {
    String folder = System.getProperty(PROPERTY);
    try {
      if (folder != null) {
        Path file = Path.of(folder, name);
        return Files.exists(file) ? Files.readAllBytes(file) : null;
      }
      try (InputStream in = KernelImages.class.getResourceAsStream("kernels/" + name)) {
        return in == null ? null : in.readAllBytes();
      }
    } catch (IOException e) {
      throw new UncheckedIOException("reading CUDA kernels: " + name, e);
    }
  }
}
