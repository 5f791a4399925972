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

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;

/** Writes a safetensors file: the header first, then the tensors' bytes in the order declared. */
public final class SafetensorsWriter implements AutoCloseable {
  /**
   * A tensor to be written.
   *
   * @param name unique in the file
   * @param type of its elements
   * @param shape sizes, outermost first; row-major
   */
  public record Layout(String name, StoredType type, List<Long> shape) {
    public Layout {
      shape = List.copyOf(shape);
    }

    /** Bytes it occupies. */
    public long bytes() {
      return shape.stream().reduce((long) type.bytes(), Math::multiplyExact);
    }
  }

  private final Path file;
  private final FileChannel channel;
  private long left;

  private SafetensorsWriter(Path file, FileChannel channel, long dataBytes) {
    this.file = file;
    this.channel = channel;
    this.left = dataBytes;
  }

  /** Creates or replaces {@code file} and writes its header. */
  public static SafetensorsWriter create(Path file, List<Layout> tensors) throws IOException {
    FileChannel channel =
        FileChannel.open(
            file,
            StandardOpenOption.CREATE,
            StandardOpenOption.WRITE,
            StandardOpenOption.TRUNCATE_EXISTING);
    try {
      byte[] json = header(tensors);
      ByteBuffer header =
          ByteBuffer.allocate(Long.BYTES + json.length).order(ByteOrder.LITTLE_ENDIAN);
      writeFully(channel, header.putLong(json.length).put(json).flip());
    } catch (IOException | RuntimeException e) {
      channel.close();
      throw e;
    }
    return new SafetensorsWriter(file, channel, tensors.stream().mapToLong(Layout::bytes).sum());
  }

  /** The JSON, padded with spaces so that the data begins at a multiple of 8. */
  private static byte[] header(List<Layout> tensors) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (JsonGenerator json = new JsonFactory().createGenerator(bytes)) {
      json.writeStartObject();
      long begin = 0;
      for (Layout tensor : tensors) {
        json.writeObjectFieldStart(tensor.name());
        json.writeStringField("dtype", tensor.type().name());
        json.writeArrayFieldStart("shape");
        for (long size : tensor.shape()) {
          json.writeNumber(size);
        }
        json.writeEndArray();
        json.writeArrayFieldStart("data_offsets");
        json.writeNumber(begin);
        begin += tensor.bytes();
        json.writeNumber(begin);
        json.writeEndArray();
        json.writeEndObject();
      }
      json.writeEndObject();
    }
    while (bytes.size() % Long.BYTES != 0) {
      bytes.write(' ');
    }
    return bytes.toByteArray();
  }

  /** Appends {@code bytes}, little endian; they need not end where a tensor does. */
  public void write(ByteBuffer bytes) throws IOException {
    left -= bytes.remaining();
    writeFully(channel, bytes);
  }

  private static void writeFully(FileChannel channel, ByteBuffer bytes) throws IOException {
    while (bytes.hasRemaining()) {
      channel.write(bytes);
    }
  }

  /** Closes the file, which is only then complete; fails unless as much was written as declared. */
  @Override
  public void close() throws IOException {
    channel.close();
    if (left != 0) {
      throw new IOException(
          "%s: %d bytes %s than its header declares"
              .formatted(file, Math.abs(left), left > 0 ? "fewer" : "more"));
    }
  }
}
