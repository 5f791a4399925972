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
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.api.MoontideException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.apache.hadoop.fs.RawLocalFileSystem;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkEnv;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LabelFileTest {
  /** A file system that {@code spark.hadoop.*} alone makes known. */
  public static final class Named extends RawLocalFileSystem {
    @Override
    public String getScheme() {
      return "labels";
    }

    @Override
    public java.net.URI getUri() {
      return java.net.URI.create("labels:///");
    }

    @Override
    protected void checkPath(org.apache.hadoop.fs.Path path) {}
  }

  @TempDir Path folder;

  @Test
  void aByteOrderMarkIsNoPartOfTheFirstLabel() throws Exception {
    Path file = Files.writeString(folder.resolve("labels.txt"), "\ufeffyes\r\n\r\n no \r\n");
    assertEquals(List.of("yes", "no"), LabelFile.read("labels-file", file.toString()));
    assertEquals(List.of("yes", "no"), LabelFile.read("labels-file", file.toUri().toString()));
  }

  @Test
  void whatIsNotUtf8IsToldOfEveryFileSystem() throws Exception {
    Path file = folder.resolve("labels.txt");
    Files.write(file, "caf\u00e9\n".getBytes(StandardCharsets.ISO_8859_1));
    for (String location : List.of(file.toString(), file.toUri().toString())) {
      MoontideException error =
          assertThrows(
              MoontideException.class, () -> LabelFile.read("labels-file", location), location);
      assertTrue(String.valueOf(error.getMessage()).contains("it is not UTF-8"), error.toString());
    }
  }

  @Test
  void sparksConfigurationSaysHowToReadIt() throws Exception {
    Path file = Files.writeString(folder.resolve("labels.txt"), "yes\n");
    String property = "spark.hadoop.fs.labels.impl";
    // Other tests of this JVM may have an application running, which is asked then.
    Optional<SparkConf> running = Optional.ofNullable(SparkEnv.get()).map(SparkEnv::conf);
    System.setProperty(property, Named.class.getName());
    running.ifPresent(configuration -> configuration.set(property, Named.class.getName()));
    try {
      assertEquals(List.of("yes"), LabelFile.read("labels-file", "labels://" + file));
    } finally {
      System.clearProperty(property);
      running.ifPresent(configuration -> configuration.remove(property));
    }
  }
}
