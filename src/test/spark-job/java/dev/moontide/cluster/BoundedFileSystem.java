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

import java.io.File;
import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.URI;
import java.nio.file.Files;
import java.util.List;
import java.util.Objects;
import java.util.jar.JarEntry;
import java.util.jar.JarOutputStream;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RawLocalFileSystem;
import org.apache.hadoop.fs.permission.FsPermission;

/**
 * The local file system as {@code bounded:/path}, on which each folder has room for so many bytes:
 * a disk that is full, for those who may not mount one. The room is the number in the file that
 * {@link #ROOM} names; what every process wrote counts.
 */
public final class BoundedFileSystem extends RawLocalFileSystem {
  static final String ROOM = "fs.bounded.room";

  private static final URI NAME = URI.create("bounded:///");

  @Override
  public void initialize(URI uri, Configuration configuration) throws IOException {
    super.initialize(NAME, configuration);
  }

  @Override
  public String getScheme() {
    return NAME.getScheme();
  }

  @Override
  public URI getUri() {
    return NAME;
  }

  @Override
  protected OutputStream createOutputStream(Path path, boolean append) throws IOException {
    return bounded(path, super.createOutputStream(path, append));
  }

  @Override
  protected OutputStream createOutputStreamWithMode(
      Path path, boolean append, FsPermission permission) throws IOException {
    return bounded(path, super.createOutputStreamWithMode(path, append, permission));
  }

  private OutputStream bounded(Path path, OutputStream unbounded) {
    java.nio.file.Path folder =
        Objects.requireNonNull(pathToFile(path).toPath().getParent(), "a file's folder");
    return new FilterOutputStream(unbounded) {
      @Override
      public void write(int value) throws IOException {
        require(1);
        out.write(value);
      }

      @Override
      public void write(byte[] bytes, int offset, int length) throws IOException {
        require(length);
        out.write(bytes, offset, length);
      }

      private void require(int length) throws IOException {
        if (used(folder) + length > room()) {
          throw new IOException("No space left on device");
        }
      }
    };
  }

  /** Puts this class, which no Spark has, into a jar in {@code folder}. */
  static java.nio.file.Path jar(java.nio.file.Path folder) throws IOException {
    String classes = BoundedFileSystem.class.getName().replace('.', '/');
    java.nio.file.Path jar = folder.resolve("bounded-file-system.jar");
    try (JarOutputStream out = new JarOutputStream(Files.newOutputStream(jar))) {
      for (String name : List.of(classes + ".class", classes + "$1.class")) {
        out.putNextEntry(new JarEntry(name));
        try (InputStream bytes = BoundedFileSystem.class.getResourceAsStream("/" + name)) {
          Objects.requireNonNull(bytes, name).transferTo(out);
        }
      }
    }
    return jar;
  }

  private long room() throws IOException {
    return Long.parseLong(Files.readString(java.nio.file.Path.of(getConf().get(ROOM))).strip());
  }

  private static long used(java.nio.file.Path folder) throws IOException {
    try (Stream<java.nio.file.Path> files = Files.list(folder)) {
      return files.map(java.nio.file.Path::toFile).mapToLong(File::length).sum();
    }
  }
}
