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
package dev.moontide.checkpoint;

import dev.moontide.api.MoontideException;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;

/**
 * Reads the headers of a checkpoint's files and maps them. The index, where there is one, says
 * which files and is held against what they hold.
 */
final class CheckpointFiles {
  private static final String SINGLE_FILE = "model.safetensors";

  private final Path folder;
  private final Problems problems;
  private final long chunkBytes;
  private final Map<String, TensorData> tensors = new LinkedHashMap<>();

  /**
   * @param problems takes everything that is wrong
   * @param chunkBytes size of a mapping
   */
  CheckpointFiles(Path folder, Problems problems, long chunkBytes) {
    this.folder = folder;
    this.problems = problems;
    this.chunkBytes = chunkBytes;
  }

  /** The tensors of every file that could be read, by name. */
  Map<String, TensorData> read() {
    problems.collect(this::readFiles);
    return tensors;
  }

  private void readFiles() {
    Path index = folder.resolve(ShardIndex.FILE);
    Path single = folder.resolve(SINGLE_FILE);
    if (Files.exists(index)) {
      readShards(index, ShardIndex.read(index));
    } else if (Files.exists(single)) {
      readFile(single);
    } else {
      throw MoontideException.checkpoint(
          "%s: has neither %s nor %s; it holds: %s",
          folder, ShardIndex.FILE, SINGLE_FILE, listing());
    }
  }

  private void readShards(Path index, Map<String, String> shards) {
    Map<String, Set<String>> expected = new LinkedHashMap<>();
    shards.forEach(
        (tensor, shard) -> expected.computeIfAbsent(shard, s -> new LinkedHashSet<>()).add(tensor));
    expected.forEach(
        (shard, names) -> {
          Path file = within(folder, shard).orElse(null);
          if (file == null) {
            problems.add(
                "%s: names the file \"%s\", expected a file inside the folder", index, shard);
          } else if (!Files.isRegularFile(file)) {
            problems.add(
                "%s: is missing, but %s places %d tensors in it (%s …)",
                file, index.getFileName(), names.size(), names.iterator().next());
          } else {
            readFile(file).ifPresent(found -> compare(file, found, names, index, shards));
          }
        });
  }

  private void compare(
      Path file, Set<String> found, Set<String> expected, Path index, Map<String, String> shards) {
    for (String name : found) {
      if (!expected.contains(name)) {
        String other = shards.get(name);
        problems.add(
            "%s: holds tensor %s, which %s %s",
            file,
            name,
            index.getFileName(),
            other == null ? "does not list" : "places in " + other);
      }
    }
    for (String name : expected) {
      if (!found.contains(name)) {
        problems.add("%s: lacks tensor %s, which %s places in it", file, name, index.getFileName());
      }
    }
  }

  /** Adds a file's tensors; returns their names, or nothing if its header cannot be parsed. */
  private Optional<Set<String>> readFile(Path file) {
    try {
      FileChannel channel = FileChannel.open(file);
      try {
        return Optional.of(addTensors(file, channel));
      } catch (IOException | RuntimeException e) {
        channel.close();
        throw e;
      }
    } catch (MoontideException e) {
      problems.add(e);
    } catch (IOException e) {
      problems.add("%s: cannot be read: %s", file, e);
    }
    return Optional.empty();
  }

  private Set<String> addTensors(Path file, FileChannel channel) throws IOException {
    List<StoredTensor> found = SafetensorsHeader.read(file.toString(), channel, problems);
    MappedFile mapped = MappedFile.map(file.toString(), channel, chunkBytes);
    Set<String> names = new LinkedHashSet<>();
    for (StoredTensor tensor : found) {
      names.add(tensor.name());
      tensors.putIfAbsent(tensor.name(), new TensorData(tensor, mapped));
    }
    return names;
  }

  /** The file {@code name} stands for, if that lies in {@code folder}. */
  private static Optional<Path> within(Path folder, String name) {
    try {
      Path root = folder.toAbsolutePath().normalize();
      Path file = root.resolve(name).normalize();
      return file.startsWith(root) && !file.equals(root)
          ? Optional.of(folder.resolve(root.relativize(file)))
          : Optional.empty();
    } catch (InvalidPathException e) {
      return Optional.empty();
    }
  }

  private String listing() {
    try (Stream<Path> files = Files.list(folder)) {
      List<String> names =
          files.map(file -> file.getFileName().toString()).sorted().limit(12).toList();
      return names.isEmpty() ? "nothing" : String.join(", ", names);
    } catch (IOException e) {
      return "nothing readable (" + e + ")";
    }
  }
}
