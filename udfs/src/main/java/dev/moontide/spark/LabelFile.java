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

import dev.moontide.api.MoontideException;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.List;
import java.util.stream.Stream;
import org.apache.hadoop.fs.Path;

/** Labels in a text file, one a line; empty lines are skipped. */
final class LabelFile {
  /** Windows editors begin a file of UTF-8 with it. */
  private static final String BYTE_ORDER_MARK = "\ufeff";

  private LabelFile() {}

  /**
   * Reads the labels of {@code location}: a path of this machine, or a URI that Hadoop can read.
   *
   * @param option named in errors
   */
  static List<String> read(String option, String location) {
    try (BufferedReader reader = open(location);
        Stream<String> lines = reader.lines()) {
      List<String> labels =
          lines
              .map(line -> line.startsWith(BYTE_ORDER_MARK) ? line.substring(1) : line)
              .map(String::strip)
              .filter(line -> !line.isEmpty())
              .toList();
      if (labels.isEmpty()) {
        throw MoontideException.configuration(
            "%s is %s, which is empty: name a text file with one label a line", option, location);
      }
      return labels;
    } catch (MoontideException empty) {
      throw empty;
    } catch (IOException | RuntimeException e) {
      // A reader of lines wraps what it met.
      Throwable met = e instanceof UncheckedIOException && e.getCause() != null ? e.getCause() : e;
      String reason = met instanceof CharacterCodingException ? "it is not UTF-8" : met.toString();
      throw new MoontideException(
          MoontideException.Category.CONFIGURATION,
          "%s is %s, which cannot be read (%s): name a text file with one label a line"
              .formatted(option, location, reason),
          e);
    }
  }

  private static BufferedReader open(String location) throws IOException {
    Path path = new Path(location);
    if (path.toUri().getScheme() == null) {
      return Files.newBufferedReader(java.nio.file.Path.of(location));
    }
    InputStream stream = path.getFileSystem(HadoopConfiguration.ofSpark()).open(path);
    // A decoder, unlike a charset, does not read over what is not UTF-8.
    return new BufferedReader(new InputStreamReader(stream, StandardCharsets.UTF_8.newDecoder()));
  }
}
