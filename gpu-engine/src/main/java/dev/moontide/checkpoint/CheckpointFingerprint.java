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
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * What tells checkpoints apart: SHA-256 over the files of a folder in the order of their names,
 * each with its name, size and content. Of large weight files the content is sampled, as a terabyte
 * takes an hour to read: {@link #SAMPLES} pieces of {@link #SAMPLE_BYTES} evenly over the file, the
 * header and the end among them. A change to a whole tensor of more than the distance between two
 * (4.6 MB in a shard of 4.7 GB) is always seen; one that touches a few values may not be.
 */
public final class CheckpointFingerprint {
  private static final int SAMPLES = 1024;
  private static final int SAMPLE_BYTES = 4096;

  private CheckpointFingerprint() {}

  /**
   * The fingerprint of the checkpoint in {@code folder}, as {@code sha256:…}.
   *
   * @throws MoontideException of category checkpoint if a file cannot be read
   */
  public static String of(Path folder) {
    try (Stream<Path> listed = Files.list(folder)) {
      List<Path> files =
          listed
              .filter(Files::isRegularFile)
              .filter(file -> !name(file).startsWith("."))
              .sorted()
              .collect(Collectors.toList());
      // Reading waits for the disk, not for a core.
      List<byte[]> digests = files.parallelStream().map(CheckpointFingerprint::digest).toList();
      MessageDigest all = Sha256.digest();
      digests.forEach(all::update);
      return Sha256.format(all);
    } catch (IOException unreadable) {
      throw unreadable(folder, unreadable);
    }
  }

  /**
   * SHA-256 over the whole of the files {@code names} of a folder that are there, as {@code
   * sha256:…}.
   *
   * @throws MoontideException of category checkpoint if a file cannot be read
   */
  public static String of(Path folder, List<String> names) {
    MessageDigest all = Sha256.digest();
    for (String name : names) {
      Path file = folder.resolve(name);
      if (Files.isRegularFile(file)) {
        all.update(digest(file));
      }
    }
    return Sha256.format(all);
  }

  private static byte[] digest(Path file) {
    MessageDigest digest = Sha256.digest();
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      long size = channel.size();
      digest.update((name(file) + " " + size + "\n").getBytes(StandardCharsets.UTF_8));
      boolean sampled =
          name(file).endsWith(".safetensors") && size > (long) SAMPLES * SAMPLE_BYTES * 2;
      if (sampled) {
        for (int i = 0; i < SAMPLES; i++) {
          long from = (size - SAMPLE_BYTES) / (SAMPLES - 1) * i;
          update(digest, channel, i == SAMPLES - 1 ? size - SAMPLE_BYTES : from, SAMPLE_BYTES);
        }
      } else {
        for (long from = 0; from < size; from += 1 << 20) {
          update(digest, channel, from, (int) Math.min(1 << 20, size - from));
        }
      }
    } catch (IOException unreadable) {
      throw unreadable(file, unreadable);
    }
    return digest.digest();
  }

  private static void update(MessageDigest digest, FileChannel channel, long from, int bytes)
      throws IOException {
    ByteBuffer content = ByteBuffer.allocate(bytes);
    while (content.hasRemaining() && channel.read(content, from + content.position()) >= 0) {}
    digest.update(content.flip());
  }

  private static String name(Path file) {
    return file.getFileName().toString();
  }

  private static MoontideException unreadable(Path path, IOException cause) {
    return new MoontideException(
        MoontideException.Category.CHECKPOINT, path + " cannot be read: " + cause, cause);
  }
}
