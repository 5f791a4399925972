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
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.apache.spark.sql.api.java.UDF1;
import org.apache.spark.sql.types.DataTypes;
import org.junit.jupiter.api.Test;

/** What was finished is not computed again, and nothing of that shows in the output. */
class ResumeEndToEndTest extends EndToEnd {
  private static final String SYSTEM = "Label the intent of the request.";

  /** Every {@code step}th of the demonstration's requests. */
  private String requests(String name, int step) throws IOException {
    List<String> lines = lines(step);
    return write(name, String.join("\n", lines) + "\n");
  }

  private static List<String> lines(int step) throws IOException {
    List<String> all = Files.readAllLines(Path.of(REQUESTS));
    List<String> lines = new ArrayList<>();
    for (int i = 0; i < all.size(); i += step) {
      lines.add(all.get(i));
    }
    return lines;
  }

  private static List<String> arguments(String input, String output, String... options) {
    List<String> arguments = new ArrayList<>(List.of("--input", input, "--output", output));
    arguments.addAll(List.of("--labels-file", LABELS, "--id-column", "id"));
    arguments.addAll(List.of("--probability-tolerance", "0.001"));
    if (!List.of(options).contains("--system")) {
      arguments.addAll(List.of("--system", SYSTEM));
    }
    arguments.addAll(List.of(options));
    return arguments;
  }

  private CommandLineRun label(String input, String output, String... options) {
    return done("label", arguments(input, path(output), options).toArray(String[]::new));
  }

  private void assertCounts(String output, int computed, int reused) {
    JsonNode summary = summary(output);
    assertEquals(computed, summary.get("computed").asInt(), "computed");
    assertEquals(reused, summary.get("reused").asInt(), "reused");
  }

  private long segments(String output) throws IOException {
    Path results = folder.resolve("_" + output + ".moontide/results");
    if (!Files.isDirectory(results)) {
      return 0;
    }
    try (Stream<Path> files = Files.list(results)) {
      return files.filter(file -> file.toString().endsWith(".results")).count();
    }
  }

  @Test
  void aRerunComputesWhatChanged() throws Exception {
    String few = requests("few.jsonl", 300);
    String more = requests("more.jsonl", 150);
    label(few, "out");
    assertCounts("out", 15, 0);
    List<String> expected = sorted("out");

    CommandLineRun run = told(few, "--partitions", "3");
    assertTrue(run.err().contains("going on from the finished results in"), run.err());
    assertCounts("out", 0, 15);
    assertEquals(expected, sorted("out"));
    // Half of the rows are new.
    run = run("label", arguments(more, path("out")).toArray(String[]::new));
    assertEquals(2, run.status(), "the output exists");
    label(more, "out", "--overwrite");
    assertCounts("out", 15, 15);
    assertTrue(sorted("out").containsAll(expected));
    // All are asked otherwise, and then as before.
    run = told(few, "--system", "Label it.");
    assertTrue(
        run.err()
            .contains(
                "_out.moontide/results, since which this changed: --system (%s, now Label it.);"
                    .formatted(SYSTEM)),
        run.err());
    assertCounts("out", 15, 0);
    assertNotEquals(expected, sorted("out"));
    label(few, "out", "--overwrite");
    assertCounts("out", 0, 15);
    assertEquals(expected, sorted("out"));
    assertEquals(1, segments("out"), "small segments are merged");
    run = told(few, "--no-resume");
    assertFalse(run.err().contains("finished results"), run.err());
    assertCounts("out", 15, 0);
    assertEquals(expected, sorted("out"));
    try (Stream<Path> files = Files.list(folder.resolve("_out.moontide"))) {
      assertEquals(
          List.of("job.json", "results"),
          files
              .map(file -> file.getFileName().toString())
              .filter(name -> !name.startsWith("."))
              .sorted()
              .toList());
    }
  }

  /** Labels once more, and tells what is told of earlier results. */
  private CommandLineRun told(String input, String... options) {
    List<String> command = new ArrayList<>(List.of("label", "--dtype", "f32", "--model", MODEL));
    command.addAll(arguments(input, path("out"), options));
    command.add("--overwrite");
    CommandLineRun run = CommandLineRun.of(command.toArray(String[]::new));
    assertEquals(0, run.status(), run.err());
    return run;
  }

  @Test
  void equalRequestsAreComputedOnce() throws Exception {
    List<String> lines = new ArrayList<>();
    for (int copy = 0; copy < 8; copy++) {
      for (String line : lines(450)) {
        lines.add(line.replaceFirst("\"id\": *\"", "\"id\":\"" + copy + "-"));
      }
    }
    Collections.shuffle(lines, new Random(5));
    label(write("in.jsonl", String.join("\n", lines)), "out", "--partitions", "5");
    assertCounts("out", 10, 70);
    assertEquals(80, output("out").select("id").distinct().count());
    assertEquals(
        10, output("out").select("text", "label_probabilities").toJSON().distinct().count());
  }

  /** A partition fails in its middle and is tried again; the output is as without. */
  @Test
  void aFailedTaskGoesOnWhereItWas() throws Exception {
    List<String> lines = lines(15);
    write("first.jsonl", String.join("\n", lines.subList(0, 280)));
    write("second.jsonl", String.join("\n", lines.subList(280, lines.size())));
    // In the second batch of rows that the task draws.
    String poisoned = lines.get(270).replaceFirst(".*\"id\": *\"([^\"]*)\".*", "$1");
    session()
        .udf()
        .register(
            "fails_once",
            (UDF1<String, Boolean>)
                id -> {
                  if (id.equals(poisoned) && FAILED.compareAndSet(0, 1)) {
                    throw new IllegalStateException("injected");
                  }
                  return true;
                },
            DataTypes.BooleanType);
    FAILED.set(0);
    List<String> options =
        List.of("--input", path("*.jsonl"), "--prompt", "{{ text }}", "--id-column", "id");
    List<String> few = List.of("--max-tokens", "1", "--temperature", "1", "--max-sequences", "16");
    String[] common = Stream.of(options, few).flatMap(List::stream).toArray(String[]::new);
    done("generate", with(common, "--output", path("failed"), "--where", "fails_once(id)"));
    assertEquals(1, FAILED.get(), "the failure happened");
    done("generate", with(common, "--output", path("whole")));
    assertEquals(lines.size(), sorted("whole").size());
    assertEquals(sorted("whole"), sorted("failed"));
    assertCounts("whole", lines.size(), 0);
    int reused = summary("failed").get("reused").asInt();
    assertTrue(reused > 200, "of the failed task's work was kept: " + reused);
  }

  private static String[] with(String[] options, String... more) {
    return Stream.concat(Stream.of(options), Stream.of(more)).toArray(String[]::new);
  }

  /** Of the driver, where the function runs too. */
  private static final AtomicInteger FAILED = new AtomicInteger();
}
