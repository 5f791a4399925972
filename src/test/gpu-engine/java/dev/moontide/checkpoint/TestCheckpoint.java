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
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.function.Executable;

/** A checkpoint made up, or copied from a folder and changed, tensor by tensor. */
public final class TestCheckpoint {
  private final Map<String, Stored> tensors = new LinkedHashMap<>();

  private static final class Stored {
    private final StoredType type;
    private final List<Long> shape;
    private final byte[] bytes;

    Stored(StoredType type, List<Long> shape, byte[] bytes) {
      this.type = type;
      this.shape = shape;
      this.bytes = bytes;
    }
  }

  /** A folder of the small checkpoints. */
  public static Path fixture(String model) {
    return Path.of(
        System.getProperty("moontide.root"), "src/test/gpu-engine/resources/models", model);
  }

  /** All tensors of {@code folder}. */
  public static TestCheckpoint copyOf(Path folder) {
    TestCheckpoint copy = new TestCheckpoint();
    Problems problems = new Problems();
    new CheckpointFiles(folder, problems, MappedFile.CHUNK_BYTES)
        .read()
        .forEach(
            (name, data) -> {
              byte[] bytes = new byte[Math.toIntExact(data.tensor().bytes())];
              data.copy(0, bytes, bytes.length);
              copy.put(name, data.tensor().type(), data.tensor().shape(), bytes);
            });
    problems.throwIfAny(folder);
    return copy;
  }

  public TestCheckpoint put(String name, StoredType type, List<Long> shape, byte[] bytes) {
    tensors.put(name, new Stored(type, shape, bytes));
    return this;
  }

  public TestCheckpoint remove(String name) {
    tensors.remove(name);
    return this;
  }

  public List<String> names() {
    return new ArrayList<>(tensors.keySet());
  }

  /** Gives a tensor another name. */
  public TestCheckpoint rename(String from, String to) {
    tensors.put(to, stored(from));
    tensors.remove(from);
    return this;
  }

  /** Overwrites the float32 at {@code index} of a tensor. */
  public TestCheckpoint setFloat(String name, int index, float value) {
    little(stored(name).bytes).putFloat(4 * index, value);
    return this;
  }

  /** Overwrites the 16 bits at {@code index} of a tensor. */
  public TestCheckpoint setShort(String name, int index, int bits) {
    little(stored(name).bytes).putShort(2 * index, (short) bits);
    return this;
  }

  /** Writes everything as {@code model.safetensors} of {@code folder}. */
  public Path write(Path folder) throws IOException {
    write(folder.resolve("model.safetensors"), names());
    return folder;
  }

  /** Writes some of the tensors. */
  public void write(Path file, List<String> names) throws IOException {
    List<SafetensorsWriter.Layout> layout = new ArrayList<>();
    for (String name : names) {
      Stored tensor = stored(name);
      layout.add(new SafetensorsWriter.Layout(name, tensor.type, tensor.shape));
    }
    try (SafetensorsWriter writer = SafetensorsWriter.create(file, layout)) {
      for (String name : names) {
        writer.write(ByteBuffer.wrap(stored(name).bytes));
      }
    }
  }

  /** Writes a file of {@code json} as its header and {@code data} zero bytes. */
  public static Path writeRaw(Path file, String json, int data) throws IOException {
    byte[] header = json.getBytes(StandardCharsets.UTF_8);
    byte[] bytes = new byte[8 + header.length + data];
    little(bytes).putLong(header.length).put(header);
    Files.write(file, bytes);
    return file;
  }

  /** The message of the error {@code work} ends with. */
  public static String messageOf(Executable work) {
    MoontideException error = Assertions.assertThrows(MoontideException.class, work);
    return Objects.requireNonNull(error.getMessage());
  }

  private Stored stored(String name) {
    return Objects.requireNonNull(tensors.get(name), name);
  }

  static ByteBuffer little(byte[] bytes) {
    return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }
}
