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
import dev.moontide.checkpoint.Sha256;
import java.io.IOException;
import java.io.InputStream;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Checkpoints of remote file systems, copied to this host's disk: once for all JVMs of the host,
 * which wait for one another at a lock. A copy is named by what the remote folder holds (names,
 * sizes and times), so that a changed checkpoint is another one; a copy that was interrupted goes
 * on where it was. Lengths are compared, and SHA-256 where the checkpoint brings them ({@link
 * #CHECKSUMS}).
 */
final class ModelCache {
  /** Lines of {@code SHA-256 in hex, two spaces, name}, as sha256sum writes them. */
  static final String CHECKSUMS = "SHA256SUMS";

  private static final Logger LOG = LoggerFactory.getLogger(ModelCache.class);

  /** Files copied at the same time. */
  private static final int COPIES = 8;

  private static final int BUFFER_BYTES = 1 << 20;

  /** One copy at a time in this JVM, as a JVM cannot wait for its own file lock. */
  private static final Object COPYING = new Object();

  private final Path cache;
  private final Configuration configuration;

  /**
   * @param cache the folder of copies, made if it is not there
   */
  ModelCache(Path cache, Configuration configuration) {
    this.cache = cache;
    this.configuration = configuration;
  }

  /** The copy of the checkpoint at {@code uri}, whole. */
  Path whole(String uri) {
    return copy(uri, "", file -> true);
  }

  /** A copy of the checkpoint at {@code uri} without its weights: what is needed to check a job. */
  Path withoutWeights(String uri) {
    return copy(uri, "-text", file -> !file.endsWith(".safetensors"));
  }

  /** Names what the folder at {@code uri} holds: a hash of its files' names, sizes and times. */
  String listing(String uri) {
    org.apache.hadoop.fs.Path source = new org.apache.hadoop.fs.Path(uri);
    try {
      return identity(uri, list(source.getFileSystem(configuration), source, file -> true));
    } catch (IOException | RuntimeException failed) { // a host or a class that there is not
      throw new MoontideException(
          MoontideException.Category.CHECKPOINT,
          "model %s cannot be listed: %s".formatted(uri, failed),
          failed);
    }
  }

  private static List<FileStatus> list(
      FileSystem files, org.apache.hadoop.fs.Path folder, Predicate<String> wanted)
      throws IOException {
    return Arrays.stream(files.listStatus(folder))
        .filter(FileStatus::isFile)
        .filter(file -> !file.getPath().getName().startsWith("."))
        .filter(file -> wanted.test(file.getPath().getName()))
        .sorted(Comparator.comparing(file -> file.getPath().getName()))
        .toList();
  }

  private Path copy(String uri, String suffix, Predicate<String> wanted) {
    org.apache.hadoop.fs.Path source = new org.apache.hadoop.fs.Path(uri);
    try {
      FileSystem files = source.getFileSystem(configuration);
      List<FileStatus> remote = list(files, source, wanted);
      Path copy = cache.resolve(source.getName() + "-" + identity(uri, remote) + suffix);
      synchronized (COPYING) {
        Files.createDirectories(cache);
        try (RandomAccessFile lock = new RandomAccessFile(copy + ".lock", "rw")) {
          lock.getChannel().lock(); // Closing the file releases it.
          if (!isComplete(copy, remote)) {
            fetch(files, remote, copy);
          }
        }
      }
      return copy;
    } catch (IOException | RuntimeException failed) {
      throw new MoontideException(
          MoontideException.Category.CHECKPOINT,
          "model %s cannot be copied to %s: %s; copied files are kept, so trying again goes on"
              .formatted(uri, cache, failed),
          failed);
    }
  }

  private static String identity(String uri, List<FileStatus> files) {
    MessageDigest digest = Sha256.digest();
    digest.update(uri.getBytes(StandardCharsets.UTF_8));
    for (FileStatus file : files) {
      String line =
          "\n%s %d %d"
              .formatted(file.getPath().getName(), file.getLen(), file.getModificationTime());
      digest.update(line.getBytes(StandardCharsets.UTF_8));
    }
    return HexFormat.of().formatHex(digest.digest(), 0, 8);
  }

  private static boolean isComplete(Path copy, List<FileStatus> remote) throws IOException {
    for (FileStatus file : remote) {
      Path local = copy.resolve(file.getPath().getName());
      if (!Files.exists(local) || Files.size(local) != file.getLen()) {
        return false;
      }
    }
    return true;
  }

  private static void fetch(FileSystem files, List<FileStatus> remote, Path copy)
      throws IOException {
    long bytes = remote.stream().mapToLong(FileStatus::getLen).sum();
    LOG.info("copying {} files, {} MB, to {}", remote.size(), bytes >> 20, copy);
    long start = System.nanoTime();
    Files.createDirectories(copy);
    Map<String, String> checksums = checksums(files, remote);
    ExecutorService copies = Executors.newFixedThreadPool(COPIES);
    try {
      List<Future<?>> running = new ArrayList<>();
      for (FileStatus file : remote) {
        running.add(
            copies.submit(
                () -> {
                  fetch(files, file, copy, checksums.get(file.getPath().getName()));
                  return null;
                }));
      }
      for (Future<?> one : running) {
        one.get();
      }
    } catch (ExecutionException failed) {
      throw failed.getCause() instanceof IOException cause ? cause : new IOException(failed);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted", interrupted);
    } finally {
      copies.shutdownNow();
      awaitEnd(copies);
    }
    LOG.info("copied {} in {} s", copy, (System.nanoTime() - start) / 1_000_000_000);
  }

  /** None writes any more when the lock is given back. */
  private static void awaitEnd(ExecutorService copies) {
    boolean interrupted = Thread.interrupted();
    try {
      while (!copies.awaitTermination(1, TimeUnit.SECONDS)) {
        LOG.info("waiting for the copies in progress to end");
      }
    } catch (InterruptedException again) {
      interrupted = true;
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  /** By file; empty if the checkpoint brings none. */
  private static Map<String, String> checksums(FileSystem files, List<FileStatus> remote)
      throws IOException {
    Map<String, String> checksums = new HashMap<>();
    for (FileStatus file : remote) {
      if (file.getPath().getName().equals(CHECKSUMS)) {
        try (InputStream in = files.open(file.getPath())) {
          for (String line :
              new String(in.readAllBytes(), StandardCharsets.UTF_8).lines().toList()) {
            String[] words = line.strip().split("\\s+[*]?", 2);
            if (words.length == 2) {
              checksums.put(words[1], words[0].toLowerCase(Locale.ROOT));
            }
          }
        }
      }
    }
    return checksums;
  }

  private static void fetch(
      FileSystem files, FileStatus remote, Path copy, @Nullable String checksum)
      throws IOException {
    String name = remote.getPath().getName();
    Path target = copy.resolve(name);
    if (Files.exists(target) && Files.size(target) == remote.getLen()) {
      return;
    }
    Path part = copy.resolve(name + ".part");
    try (FSDataInputStream in = files.open(remote.getPath());
        RandomAccessFile out = new RandomAccessFile(part.toFile(), "rw")) {
      if (out.length() > remote.getLen()) {
        out.setLength(0);
      }
      out.seek(out.length());
      in.seek(out.length());
      byte[] buffer = new byte[BUFFER_BYTES];
      for (int count = in.read(buffer); count >= 0; count = in.read(buffer)) {
        if (Thread.interrupted()) {
          throw new IOException("another file of the checkpoint could not be copied");
        }
        out.write(buffer, 0, count);
      }
      if (out.length() != remote.getLen()) {
        throw new IOException(
            "%s has %d bytes, of which %d were read"
                .formatted(remote.getPath(), remote.getLen(), out.length()));
      }
    }
    if (checksum != null && !checksum.equals(checksum(part))) {
      Files.delete(part);
      throw new IOException(
          "%s has not the SHA-256 that %s says; its copy was dropped"
              .formatted(remote.getPath(), CHECKSUMS));
    }
    Files.move(part, target, StandardCopyOption.ATOMIC_MOVE);
  }

  private static String checksum(Path file) throws IOException {
    MessageDigest digest = Sha256.digest();
    try (InputStream in = Files.newInputStream(file)) {
      byte[] buffer = new byte[BUFFER_BYTES];
      for (int count = in.read(buffer); count >= 0; count = in.read(buffer)) {
        digest.update(buffer, 0, count);
      }
    }
    return HexFormat.of().formatHex(digest.digest());
  }
}
