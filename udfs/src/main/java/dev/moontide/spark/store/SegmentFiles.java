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
package dev.moontide.spark.store;

import java.io.BufferedOutputStream;
import java.io.DataOutputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.LocalFileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RawLocalFileSystem;

/**
 * The segments of a store: files in one folder of any Hadoop file system, each written once under a
 * name of its own and seen whole or not at all. Thread-safe.
 */
final class SegmentFiles {
  private static final String EXTENSION = ".results";
  private static final int BUFFER_BYTES = 1 << 16;

  private final Path folder;
  private final FileSystem files;
  private final boolean renames;

  SegmentFiles(String folder, Configuration configuration) throws IOException {
    FileSystem found = new Path(folder).getFileSystem(configuration);
    // Segments have checksums of their own: no second file for each.
    this.files = found instanceof LocalFileSystem local ? local.getRawFileSystem() : found;
    this.folder = files.makeQualified(new Path(folder));
    this.renames = FileSystemKind.of(files) == FileSystemKind.RENAMING;
  }

  /**
   * A segment.
   *
   * @param name its file's name
   * @param bytes its length
   * @param written when, in milliseconds since 1970
   */
  record Entry(String name, long bytes, long written) {}

  /** Writes a segment's blocks. */
  interface Content {
    void write(DataOutputStream out) throws IOException;
  }

  /** The segments whose results are of {@code scope}. */
  List<Entry> list(String scope) throws IOException {
    List<Entry> segments = new ArrayList<>();
    for (FileStatus file : listAll()) {
      String name = file.getPath().getName();
      if (name.startsWith(scope) && name.endsWith(EXTENSION)) {
        segments.add(new Entry(name, file.getLen(), file.getModificationTime()));
      }
    }
    return segments;
  }

  private FileStatus[] listAll() throws IOException {
    try {
      return files.listStatus(folder);
    } catch (FileNotFoundException none) {
      return new FileStatus[0];
    }
  }

  /** The scope of a segment, by its name. */
  static String scopeOf(String name) {
    return name.substring(0, Math.max(0, name.indexOf('-')));
  }

  /** Writes a segment and returns it; nobody sees it before it is whole. */
  Entry write(String scope, Content content) throws IOException {
    String name = scope + "-" + UUID.randomUUID() + EXTENSION;
    Path path = new Path(folder, name);
    Path written = renames ? new Path(folder, "." + name + ".tmp") : path;
    long bytes;
    try (DataOutputStream out = new DataOutputStream(create(written))) {
      Segment.writeStart(out);
      content.write(out);
      bytes = out.size();
    } catch (IOException | RuntimeException failed) {
      deleteQuietly(written, failed);
      throw failed;
    }
    if (renames && !files.rename(written, path)) {
      throw new IOException("cannot rename " + written + " to " + path);
    }
    return new Entry(name, bytes, System.currentTimeMillis());
  }

  private OutputStream create(Path path) throws IOException {
    if (files instanceof RawLocalFileSystem local) {
      // Hadoop would set the file's permissions, for which it starts a process.
      local.mkdirs(folder);
      return new BufferedOutputStream(
          Files.newOutputStream(local.pathToFile(path).toPath()), BUFFER_BYTES);
    }
    return files.create(
        path,
        true,
        BUFFER_BYTES,
        files.getDefaultReplication(path),
        files.getDefaultBlockSize(path));
  }

  private void deleteQuietly(Path path, Exception reason) {
    try {
      files.delete(path, false);
    } catch (IOException failed) {
      reason.addSuppressed(failed);
    }
  }

  /** Opens a segment; empty if it is no longer there, as one that was merged into another. */
  Optional<InputStream> open(String name) throws IOException {
    try {
      return Optional.of(files.open(new Path(folder, name), BUFFER_BYTES));
    } catch (FileNotFoundException merged) {
      return Optional.empty();
    }
  }

  void delete(String name) throws IOException {
    files.delete(new Path(folder, name), false);
  }

  @Override
  public String toString() {
    return folder.toString();
  }
}
