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
package dev.moontide.cluster;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;

/** An output of JSON lines, and what the job keeps beside it. */
record Output(Path folder) {
  private static final ObjectMapper JSON = new ObjectMapper();

  /** The rows in the order of their ids, with every digit. */
  List<String> rows() {
    List<ObjectNode> rows = read();
    rows.sort(Comparator.comparing(row -> row.path("id").asText()));
    return rows.stream().map(JsonNode::toString).toList();
  }

  /** A column's texts by the rows' ids. */
  Map<String, String> column(String name) {
    Map<String, String> column = new TreeMap<>();
    read().forEach(row -> column.put(row.path("id").asText(), row.path(name).asText()));
    return column;
  }

  private List<ObjectNode> read() {
    List<ObjectNode> rows = new ArrayList<>();
    for (Path part : files(folder, ".json")) {
      for (String line : ChildJvm.read(part).split("\n", -1)) {
        if (!line.isEmpty()) {
          rows.add((ObjectNode) parse(line));
        }
      }
    }
    return rows;
  }

  boolean exists() {
    return Files.exists(folder);
  }

  /** A count of {@code summary.json}. */
  int count(String name) {
    return parse(ChildJvm.read(folder.resolve("_moontide/summary.json"))).path(name).asInt(-1);
  }

  /** Whether some results are stored, and so are safe. */
  boolean hasResults() {
    Path results =
        folder.resolveSibling("_" + folder.getFileName() + ".moontide").resolve("results");
    return Files.isDirectory(results) && !files(results, ".results").isEmpty();
  }

  private static List<Path> files(Path folder, String extension) {
    try (Stream<Path> files = Files.list(folder)) {
      return files
          .filter(file -> !file.getFileName().toString().startsWith("."))
          .filter(file -> file.toString().endsWith(extension))
          .toList();
    } catch (IOException unreadable) {
      throw new UncheckedIOException(unreadable);
    }
  }

  private static JsonNode parse(String text) {
    try {
      return JSON.readTree(text);
    } catch (IOException malformed) {
      throw new UncheckedIOException(malformed);
    }
  }
}
