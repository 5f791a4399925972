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

import dev.moontide.cluster.BoundedFileSystem;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Outputs on file systems that fail, or do not move a folder in one step. */
class CommitEndToEndTest extends EndToEnd {
  private static final String ROWS =
      """
      {"id": 1, "text": "how do you say hello in spanish"}
      {"id": 2, "text": "will it rain tomorrow"}
      {"id": 3, "text": "what is my balance"}
      """;

  @BeforeEach
  void fileSystems() {
    var hadoop = session().sparkContext().hadoopConfiguration();
    hadoop.set("fs.piecemeal.impl", PiecemealFileSystem.class.getName());
    hadoop.set("fs.bounded.impl", BoundedFileSystem.class.getName());
    hadoop.set("fs.bounded.room", path("room"));
  }

  private String[] label(String output, String... more) {
    String input = write("in.jsonl", ROWS);
    return Stream.concat(
            Stream.of("--input", input, "--labels", "a,b", "--partitions", "2"),
            Stream.concat(Stream.of("--output", output), Stream.of(more)))
        .toArray(String[]::new);
  }

  private List<String> files(String name) throws IOException {
    Path output = folder.resolve(name);
    if (!Files.exists(output)) {
      return List.of();
    }
    try (Stream<Path> files = Files.walk(output)) {
      return files
          .filter(Files::isRegularFile)
          .map(file -> output.relativize(file).toString())
          .sorted()
          .toList();
    }
  }

  private void assertWhole(String name) throws IOException {
    assertEquals(3, output(name).count());
    assertTrue(files(name).contains("_SUCCESS"), () -> "no _SUCCESS in " + name);
    assertTrue(files(name).contains("_moontide/summary.json"));
    assertFalse(Files.exists(folder.resolve("_" + name + ".moontide/writing")));
  }

  @Test
  void halfAnOutputIsNeverTakenForTheWhole() throws Exception {
    String output = "piecemeal:" + path("out");
    PiecemealFileSystem.failAfter(2, "/_out.moontide/output");
    CommandLineRun run = run("label", label(output));
    assertEquals(1, run.status(), run.err());
    assertTrue(run.err().contains("the connection is lost; run the job again"), run.err());
    assertEquals(2, files("out").size(), () -> "the rename did not stop in the middle");
    assertFalse(files("out").contains("_SUCCESS"));

    // Not in the way of a rerun, as a whole one would be.
    done("label", label(output));
    assertWhole("out");
    assertEquals(3, summary("out").get("reused").asInt());
    run = run("label", label(output));
    assertEquals(2, run.status(), "a whole output is replaced without --overwrite");

    // Half of the old output is gone when its replacement fails.
    PiecemealFileSystem.failAfter(2, "/out");
    run = run("label", label(output, "--overwrite"));
    assertEquals(1, run.status(), run.err());
    assertFalse(files("out").isEmpty());
    assertFalse(files("out").contains("_SUCCESS"));
    done("label", label(output));
    assertWhole("out");
    done("label", label(output, "--overwrite"));
    assertWhole("out");
  }

  @Test
  void aFullDiskIsNamedWithTheRemedy() throws Exception {
    // A folder has room enough for the finished results, and not for the output.
    write("room", "2500");
    CommandLineRun run = run("label", label("bounded:" + path("out")));
    assertEquals(1, run.status(), run.err());
    String place = "bounded:" + path("_out.moontide/output");
    assertTrue(run.err().contains("no space is left in " + place), run.err());
    assertTrue(run.err().contains("make room and run the job again"), run.err());
    assertEquals(List.of(), files("out"));

    write("room", "1000000");
    done("label", label("bounded:" + path("out")));
    assertWhole("out");
    assertEquals(3, summary("out").get("reused").asInt());
  }
}
