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

import dev.moontide.api.MoontideException;
import dev.moontide.spark.store.FileSystemKind;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.UnknownHostException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.UnaryOperator;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.util.VersionInfo;
import org.apache.spark.sql.SparkSession;

/** Files on any file system Spark reads and writes. */
final class StoredFiles {
  /** What brings the file systems that Hadoop knows and Spark does not bring. */
  private static final Map<String, String> HADOOP_MODULES =
      Map.of("s3a", "hadoop-aws", "abfs", "hadoop-azure", "abfss", "hadoop-azure");

  private final Configuration configuration;
  private final String option;

  /**
   * @param option that gives the paths, for errors, such as {@code --input}
   */
  StoredFiles(SparkSession spark, String option) {
    this.configuration = spark.sparkContext().hadoopConfiguration();
    this.option = option;
  }

  /** Fails if no file matches {@code path}. */
  void require(String path) {
    if (matching(path).length == 0) {
      throw MoontideException.configuration(
          "%s is %s: allowed is a file, a folder or a glob that matches some", option, path);
    }
  }

  boolean exists(String path) {
    try {
      return fileSystem(path).exists(new Path(path));
    } catch (IOException unreachable) {
      throw new UncheckedIOException(unreachable);
    }
  }

  /** Whether {@code inner} is {@code outer} or lies in it; both are {@link #qualified}. */
  static boolean contains(String outer, String inner) {
    return inner.equals(outer) || inner.startsWith(outer + Path.SEPARATOR);
  }

  /** The format of the first data file of {@code paths}, by its extension. */
  Format formatOf(List<String> paths) {
    for (String path : paths) {
      require(path);
      Optional<Format> byName = Format.ofFile(path);
      if (byName.isPresent()) {
        return byName.get();
      }
      for (FileStatus status : matching(path)) {
        Optional<Format> found = formatOf(status);
        if (found.isPresent()) {
          return found.get();
        }
      }
    }
    throw MoontideException.configuration(
        "%s %s: the format cannot be told from the extension: add --input-format jsonl, csv,"
            + " parquet, text, orc or another Spark source",
        option, String.join(" ", paths));
  }

  private Optional<Format> formatOf(FileStatus status) {
    if (!status.isDirectory()) {
      return Format.ofFile(status.getPath().getName());
    }
    try {
      FileStatus[] children =
          status.getPath().getFileSystem(configuration).listStatus(status.getPath());
      return Arrays.stream(children)
          .filter(child -> !child.getPath().getName().matches("[_.].*"))
          .sorted(Comparator.comparing(FileStatus::getPath))
          .map(this::formatOf)
          .flatMap(Optional::stream)
          .findFirst();
    } catch (IOException unreadable) {
      throw new UncheckedIOException(unreadable);
    }
  }

  /** Bytes of the files that match {@code paths}, those in folders included. */
  long totalBytes(List<String> paths) {
    try {
      long bytes = 0;
      for (String path : paths) {
        for (FileStatus status : matching(path)) {
          bytes += fileSystem(path).getContentSummary(status.getPath()).getLength();
        }
      }
      return bytes;
    } catch (IOException unreadable) {
      throw new UncheckedIOException(unreadable);
    }
  }

  /** Whether a folder at {@code path} is renamed in one step. */
  boolean renames(String path) {
    return FileSystemKind.of(fileSystem(path)) == FileSystemKind.RENAMING;
  }

  /** The path beside {@code path} with another name. */
  String sibling(String path, UnaryOperator<String> rename) {
    Path whole = new Path(qualified(path));
    Path parent = whole.getParent();
    if (parent == null) {
      throw Values.invalid("output", path, "a folder within a file system, not its root");
    }
    return new Path(parent, rename.apply(whole.getName())).toString();
  }

  /** Deletes a file or folder, if it is there. */
  void delete(String path) {
    try {
      fileSystem(path).delete(new Path(path), true);
    } catch (IOException failed) {
      throw new UncheckedIOException(failed);
    }
  }

  /** Renames a file or folder to what does not exist. */
  void rename(String from, String to) {
    try {
      if (!fileSystem(from).rename(new Path(from), new Path(to))) {
        throw new IOException("cannot rename " + from + " to " + to);
      }
    } catch (IOException failed) {
      throw new UncheckedIOException(failed);
    }
  }

  /** Reads a text file; empty if there is none. */
  Optional<String> read(String path) {
    try (FSDataInputStream stream = fileSystem(path).open(new Path(path))) {
      return Optional.of(new String(stream.readAllBytes(), StandardCharsets.UTF_8));
    } catch (FileNotFoundException none) {
      return Optional.empty();
    } catch (IOException failed) {
      throw new UncheckedIOException(failed);
    }
  }

  /** Writes a text file. */
  void write(String folder, String name, String text) {
    Path file = new Path(folder, name);
    try (FSDataOutputStream stream = fileSystem(folder).create(file)) {
      stream.write(text.getBytes(StandardCharsets.UTF_8));
    } catch (IOException failed) {
      throw new UncheckedIOException(failed);
    }
  }

  private FileStatus[] matching(String path) {
    try {
      FileStatus[] found = fileSystem(path).globStatus(new Path(path));
      return found == null ? new FileStatus[0] : found;
    } catch (IOException unreadable) {
      throw MoontideException.configuration(
          "%s %s cannot be read: %s", option, path, Failures.message(unreadable));
    }
  }

  /** The whole of a path, with its file system. */
  String qualified(String path) {
    return fileSystem(path).makeQualified(new Path(path)).toString();
  }

  private FileSystem fileSystem(String path) {
    try {
      return new Path(path).getFileSystem(configuration);
    } catch (IOException | RuntimeException unknown) {
      throw new MoontideException(
          MoontideException.Category.CONFIGURATION,
          "%s %s %s".formatted(option, path, problem(path, unknown)),
          unknown);
    }
  }

  private static String problem(String path, Exception unknown) {
    List<Throwable> causes = Failures.causes(unknown);
    Optional<String> host =
        causes.stream()
            .filter(UnknownHostException.class::isInstance)
            .map(Throwable::getMessage)
            .findFirst();
    if (host.isPresent()) {
      return "cannot be reached: there is no host %s; check the name".formatted(host.get());
    }
    String module = HADOOP_MODULES.get(String.valueOf(new Path(path).toUri().getScheme()));
    if (module != null && causes.stream().anyMatch(ClassNotFoundException.class::isInstance)) {
      return "needs a jar that is not here: add --packages org.apache.hadoop:%s:%s"
          .formatted(module, VersionInfo.getVersion());
    }
    return "is on no file system that is known here: %s; check the name, and that the file system's jar is there (--packages)"
        .formatted(Failures.message(unknown));
  }
}
