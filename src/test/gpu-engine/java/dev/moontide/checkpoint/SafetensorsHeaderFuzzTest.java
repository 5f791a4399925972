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

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeout;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import dev.moontide.api.MoontideException;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Damaged and hostile headers: they parse, or fail with a {@link MoontideException}; nothing else,
 * and neither slowly nor with memory out of proportion.
 */
class SafetensorsHeaderFuzzTest {
  private static final int MUTANTS = 20_000;

  private static final String[] FRAGMENTS = {
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\\u0000",
    "-",
    "1e999",
    "9223372036854775808",
    "99999999999999999999",
    "null",
    "true",
    "NaN",
    "\"dtype\"",
    "\"shape\":[",
    "\"data_offsets\"",
    "\"__metadata__\":{",
    "\"F8_E4M3\"",
    "\u00e9",
    "\ud83d\ude00",
    "\0",
    "0",
    "//",
    "/*",
    " "
  };

  @TempDir Path folder;

  /** Parses; returns whether anything was wrong. */
  private static boolean fails(byte[] header, long fileBytes) {
    Problems problems = new Problems();
    try {
      List<StoredTensor> tensors =
          SafetensorsHeader.parse("fuzz", ByteBuffer.wrap(header), fileBytes, problems);
      for (StoredTensor tensor : tensors) {
        assertTrue(tensor.position() >= 8 + header.length && tensor.end() <= fileBytes);
      }
      return !problems.messages().isEmpty();
    } catch (MoontideException e) {
      return true;
    }
  }

  private static byte[] header(Path file) throws IOException {
    byte[] bytes = Files.readAllBytes(file);
    return Arrays.copyOfRange(bytes, 8, 8 + (int) TestCheckpoint.little(bytes).getLong());
  }

  private static byte[] mutate(byte[] seed, SplittableRandom random) {
    byte[] header = seed.clone();
    for (int edits = 1 + random.nextInt(4); edits > 0 && header.length > 0; edits--) {
      int at = random.nextInt(header.length);
      int to = at + random.nextInt(Math.min(64, header.length - at) + 1);
      switch (random.nextInt(6)) {
        case 0 -> header[at] ^= (byte) (1 << random.nextInt(8));
        case 1 -> header[at] = (byte) random.nextInt(256);
        case 2 -> header = Arrays.copyOf(header, at);
        case 3 -> header = splice(header, at, to, new byte[0]);
        case 4 -> header = splice(header, at, at, Arrays.copyOfRange(header, at, to));
        default -> {
          String fragment = FRAGMENTS[random.nextInt(FRAGMENTS.length)];
          header = splice(header, at, to, fragment.getBytes(StandardCharsets.UTF_8));
        }
      }
    }
    return header;
  }

  private static byte[] splice(byte[] bytes, int from, int to, byte[] insert) {
    byte[] result = Arrays.copyOf(bytes, bytes.length - (to - from) + insert.length);
    System.arraycopy(insert, 0, result, from, insert.length);
    System.arraycopy(bytes, to, result, from + insert.length, bytes.length - to);
    return result;
  }

  @Test
  void mutatedHeadersFailCleanly() throws IOException {
    Path shard =
        TestCheckpoint.fixture("micro-k2dims-fp8").resolve("model-00001-of-00002.safetensors");
    byte[] seed = header(shard);
    long dataBytes = Files.size(shard) - 8 - seed.length;
    assertEquals(false, fails(seed, Files.size(shard)));
    SplittableRandom random = new SplittableRandom(20_260_101);
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    assertTimeout(
        Duration.ofSeconds(60),
        () -> {
          int failures = 0;
          long most = 0;
          for (int i = 0; i < MUTANTS; i++) {
            byte[] header = mutate(seed, random);
            long before = threads.getCurrentThreadAllocatedBytes();
            failures += fails(header, 8 + header.length + dataBytes) ? 1 : 0;
            most = Math.max(most, threads.getCurrentThreadAllocatedBytes() - before);
          }
          assertTrue(failures > MUTANTS / 2, failures + " of the mutants failed");
          assertTrue(most < 4 << 20, "one parse allocated " + most + " bytes");
        });
  }

  @Test
  void everyTruncationFails() throws IOException {
    byte[] seed =
        header(TestCheckpoint.fixture("micro-k2").resolve("model-00003-of-00003.safetensors"));
    int end = seed.length;
    while (seed[end - 1] == ' ') {
      end--;
    }
    for (int length = 0; length < end; length++) {
      assertTrue(fails(Arrays.copyOf(seed, length), 1 << 20), "cut at " + length);
    }
  }

  @Test
  void mutatedFilesFailCleanly() throws IOException {
    byte[] seed =
        Files.readAllBytes(
            TestCheckpoint.fixture("micro-k2").resolve("model-00003-of-00003.safetensors"));
    SplittableRandom random = new SplittableRandom(5);
    for (int i = 0; i < 500; i++) {
      byte[] file = Arrays.copyOf(seed, random.nextInt(seed.length + 100));
      for (int edit = 0; edit < 3 && file.length > 0; edit++) {
        file[random.nextInt(Math.min(file.length, 4000))] = (byte) random.nextInt(256);
      }
      Files.write(folder.resolve("model.safetensors"), file);
      Problems problems = new Problems();
      Checkpoint checkpoint = Checkpoint.scan(folder, problems);
      checkpoint.tensors().forEach(tensor -> assertTrue(tensor.end() <= file.length));
    }
  }

  private void assertBomb(String json) throws IOException {
    TestCheckpoint.writeRaw(folder.resolve("model.safetensors"), json, 4);
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    long before = threads.getCurrentThreadAllocatedBytes();
    assertTimeout(
        Duration.ofSeconds(20),
        () -> assertThrows(MoontideException.class, () -> Checkpoint.open(folder)));
    long allocated = threads.getCurrentThreadAllocatedBytes() - before;
    assertTrue(allocated < 8 << 20, "allocated " + allocated + " bytes");
  }

  @Test
  void bombsOfDepthAndSizeFailBeforeTheyGrow() throws IOException {
    int size = 20_000_000;
    assertBomb("[".repeat(size));
    assertBomb("{\"a\":".repeat(size / 5));
    assertBomb("{\"a\":{\"shape\":" + "[".repeat(size));
    assertBomb("{\"a\":{\"shape\":[" + "1,".repeat(size / 2));
    assertBomb("{\"a\":{\"shape\":[" + "1".repeat(size) + "]}}");
    assertBomb("{\"a\":{\"dtype\":\"" + "x".repeat(size) + "\"}}");
    assertBomb("{\"" + "x".repeat(size) + "\":{}}");
  }

  @Test
  void aMillionTensorsAreTheMost() throws IOException {
    StringBuilder json = new StringBuilder("{");
    for (int i = 0; i <= SafetensorsHeader.MAX_TENSORS; i++) {
      json.append(i == 0 ? "\"" : ",\"").append(i);
      json.append("\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}");
    }
    TestCheckpoint.writeRaw(folder.resolve("model.safetensors"), json.append('}').toString(), 0);
    assertEquals(
        folder.resolve("model.safetensors") + ": describes more than 1048576 tensors",
        assertThrows(MoontideException.class, () -> Checkpoint.open(folder)).getMessage());
  }
}
