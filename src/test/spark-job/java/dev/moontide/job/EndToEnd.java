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

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;

/**
 * Commands as a user types them, on the checkpoint and the data that come with the project. They
 * compute in float32, so that figures are the same on every machine, and share one engine where
 * their engine's options are equal.
 */
abstract class EndToEnd {
  private static final LocalSession LOCAL = new LocalSession() {};

  static final Path EXAMPLES =
      Path.of(System.getProperty("moontide.root"), "examples").toAbsolutePath().normalize();
  static final String MODEL = EXAMPLES.resolve("models/tiny-k2-instruct").toString();
  static final String REQUESTS = EXAMPLES.resolve("data/clinc150/test.jsonl").toString();
  static final String LABELS = EXAMPLES.resolve("data/clinc150/labels.txt").toString();

  @TempDir Path folder;

  @BeforeEach
  void open() {
    LOCAL.runBefore();
  }

  static SparkSession session() {
    return LOCAL.session();
  }

  /** Runs a command that must succeed, on the tiny checkpoint. */
  final CommandLineRun done(String command, String... options) {
    CommandLineRun run = run(command, options);
    assertEquals(0, run.status(), run.err());
    assertEquals("", run.err());
    return run;
  }

  final CommandLineRun run(String command, String... options) {
    List<String> arguments = new ArrayList<>(List.of(command, "--dtype", "f32", "--quiet"));
    arguments.addAll(List.of(options));
    if (!arguments.contains("--model")) {
      arguments.addAll(List.of("--model", MODEL));
    }
    return CommandLineRun.of(arguments.toArray(String[]::new));
  }

  final String path(String name) {
    return folder.resolve(name).toString();
  }

  /** Writes an input file and returns its path. */
  final String write(String name, String text) {
    try {
      return Files.writeString(folder.resolve(name), text).toString();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** An output that was written as Parquet. */
  final Dataset<Row> output(String name) {
    return session().read().parquet(path(name));
  }

  /**
   * An output's rows in the order of their ids, as JSON, in which a number is written by its bits.
   */
  final List<String> sorted(String name) {
    return output(name).orderBy("id").toJSON().collectAsList();
  }

  final JsonNode summary(String name) {
    try {
      return new ObjectMapper().readTree(folder.resolve(name + "/_moontide/summary.json").toFile());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
