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

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.api.MoontideException;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSInputStream;
import org.apache.hadoop.fs.RawLocalFileSystem;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ModelCacheTest {
  /** Files of this machine under another scheme, which counts and may break what is read. */
  public static final class RemoteFiles extends RawLocalFileSystem {
    static final AtomicInteger OPENED = new AtomicInteger();
    static final AtomicLong READ = new AtomicLong();
    static final AtomicLong BREAKS_AFTER = new AtomicLong();

    @Override
    public URI getUri() {
      return URI.create("remote:///");
    }

    @Override
    public String getScheme() {
      return "remote";
    }

    @Override
    public FSDataInputStream open(org.apache.hadoop.fs.Path path, int bufferSize)
        throws IOException {
      OPENED.incrementAndGet();
      FSDataInputStream in = super.open(path, bufferSize);
      return new FSDataInputStream(
          new FSInputStream() {
            @Override
            public void seek(long position) throws IOException {
              in.seek(position);
            }

            @Override
            public long getPos() throws IOException {
              return in.getPos();
            }

            @Override
            public boolean seekToNewSource(long target) {
              return false;
            }

            @Override
            public int read() throws IOException {
              throw new UnsupportedOperationException();
            }

            @Override
            public int read(byte[] target, int from, int length) throws IOException {
              if (READ.get() >= BREAKS_AFTER.get()) {
                throw new IOException("connection reset");
              }
              int count = in.read(target, from, Math.min(length, 1000));
              READ.addAndGet(Math.max(0, count));
              return count;
            }

            @Override
            public void close() throws IOException {
              in.close();
            }
          });
    }
  }

  @TempDir Path remote;
  @TempDir Path cache;

  private final byte[] weights = new byte[100_000];

  @BeforeEach
  void make() throws Exception {
    new Random(1).nextBytes(weights);
    Files.write(remote.resolve("model-1.safetensors"), weights);
    Files.write(remote.resolve("model-2.safetensors"), Arrays.copyOf(weights, 70_000));
    Files.writeString(remote.resolve("config.json"), "{}");
    Files.writeString(remote.resolve(".hidden"), "not copied");
    Files.createDirectory(remote.resolve("folder"));
    RemoteFiles.OPENED.set(0);
    RemoteFiles.READ.set(0);
    RemoteFiles.BREAKS_AFTER.set(Long.MAX_VALUE);
  }

  private ModelCache models() {
    Configuration configuration = new Configuration(false);
    configuration.set("fs.remote.impl", RemoteFiles.class.getName());
    configuration.setBoolean("fs.remote.impl.disable.cache", true);
    return new ModelCache(cache, configuration);
  }

  private String uri() {
    return "remote://" + remote;
  }

  private void assertWhole(Path copy) throws IOException {
    try (Stream<Path> files = Files.list(copy)) {
      List<String> expected = new ArrayList<>();
      expected.addAll(List.of("config.json", "model-1.safetensors", "model-2.safetensors"));
      if (Files.exists(remote.resolve(ModelCache.CHECKSUMS))) {
        expected.add(0, ModelCache.CHECKSUMS);
      }
      assertEquals(expected, files.map(file -> file.getFileName().toString()).sorted().toList());
    }
    assertArrayEquals(weights, Files.readAllBytes(copy.resolve("model-1.safetensors")));
  }

  @Test
  void aListingNamesWhatTheFolderHoldsAndReadsNothing() throws Exception {
    String listing = models().listing(uri());
    assertEquals(listing, models().listing(uri()));
    Files.write(remote.resolve("model-2.safetensors"), Arrays.copyOf(weights, 70_001));
    assertNotEquals(listing, models().listing(uri()));
    assertEquals(0, RemoteFiles.OPENED.get());
  }

  @Test
  void aCheckpointIsCopiedOnceForAllWhoAsk() throws Exception {
    List<CompletableFuture<Path>> asked = new ArrayList<>();
    for (int i = 0; i < 4; i++) {
      asked.add(CompletableFuture.supplyAsync(() -> models().whole(uri())));
    }
    Path copy = asked.get(0).get();
    for (CompletableFuture<Path> one : asked) {
      assertEquals(copy, one.get());
    }
    assertWhole(copy);
    assertEquals(3, RemoteFiles.OPENED.get());
    assertEquals(170_002, RemoteFiles.READ.get());
  }

  @Test
  void anInterruptedCopyGoesOn() throws Exception {
    RemoteFiles.BREAKS_AFTER.set(90_000);
    MoontideException error = assertThrows(MoontideException.class, () -> models().whole(uri()));
    assertTrue(String.valueOf(error.getMessage()).contains("connection reset"), error.getMessage());
    long before = RemoteFiles.READ.get();
    RemoteFiles.BREAKS_AFTER.set(Long.MAX_VALUE);
    assertWhole(models().whole(uri()));
    assertEquals(170_002, RemoteFiles.READ.get(), "read twice; at the break " + before);
  }

  @Test
  void aChangedCheckpointIsAnotherCopy() throws Exception {
    Path copy = models().whole(uri());
    Files.write(remote.resolve("model-2.safetensors"), Arrays.copyOf(weights, 60_000));
    Path changed = models().whole(uri());
    assertNotEquals(copy, changed);
    assertEquals(60_000, Files.size(changed.resolve("model-2.safetensors")));
  }

  @Test
  void aCopyThatLostAFileIsMadeWhole() throws Exception {
    Path copy = models().whole(uri());
    Files.delete(copy.resolve("config.json"));
    assertEquals(copy, models().whole(uri()));
    assertWhole(copy);
  }

  @Test
  void checksumsAreCompared() throws Exception {
    String right = sha256(weights);
    Path checksums = remote.resolve(ModelCache.CHECKSUMS);
    Files.writeString(checksums, "0" + right.substring(1) + "  model-1.safetensors\n");
    MoontideException error = assertThrows(MoontideException.class, () -> models().whole(uri()));
    assertTrue(String.valueOf(error.getMessage()).contains("SHA256SUMS"), error.getMessage());
    Files.writeString(checksums, right.toUpperCase(Locale.ROOT) + " *model-1.safetensors\n");
    assertWhole(models().whole(uri()));
  }

  private static String sha256(byte[] bytes) throws Exception {
    return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
  }

  @Test
  void aJobIsCheckedWithoutTheWeights() throws Exception {
    Path copy = models().withoutWeights(uri());
    assertTrue(Files.exists(copy.resolve("config.json")));
    assertFalse(Files.exists(copy.resolve("model-1.safetensors")));
    assertNotEquals(copy, models().whole(uri()));
  }
}
