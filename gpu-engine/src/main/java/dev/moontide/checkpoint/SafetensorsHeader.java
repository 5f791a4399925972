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

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.databind.util.ByteBufferBackedInputStream;
import com.google.errorprone.annotations.FormatMethod;
import dev.moontide.api.MoontideException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Parses the header of a safetensors file: an unsigned 64-bit length, that many bytes of JSON
 * ({@code name → dtype, shape, data_offsets}), then the data, which the tensors cover without holes
 * or overlaps (format: github.com/huggingface/safetensors).
 *
 * <p>The file is not trusted. The header is parsed as a stream from a mapping, so memory grows with
 * the tensors it really describes and those are bounded.
 */
final class SafetensorsHeader {
  /** The format's own limit. */
  static final long MAX_BYTES = 100_000_000;

  /** Kimi-K2 has 139,644 tensors in all its files. */
  static final int MAX_TENSORS = 1 << 20;

  private static final int MAX_RANK = 8;

  private static final long LENGTH_BYTES = Long.BYTES;

  private final String file;
  private final long dataStart;
  private final long fileBytes;
  private final Problems problems;
  private final List<StoredTensor> tensors = new ArrayList<>();
  private boolean complete = true;

  private SafetensorsHeader(String file, long dataStart, long fileBytes, Problems problems) {
    this.file = file;
    this.dataStart = dataStart;
    this.fileBytes = fileBytes;
    this.problems = problems;
  }

  /**
   * Reads the header of the file behind {@code channel}.
   *
   * @param file its name, for messages
   * @param problems takes what is wrong with single tensors
   * @return the tensors without problems, by position
   * @throws MoontideException if the header itself cannot be parsed
   */
  static List<StoredTensor> read(String file, FileChannel channel, Problems problems)
      throws IOException {
    long fileBytes = channel.size();
    if (fileBytes < LENGTH_BYTES) {
      throw MoontideException.checkpoint(
          "%s: has %d bytes, expected a safetensors file, which begins with the 8-byte length of"
              + " its header",
          file, fileBytes);
    }
    long length =
        channel
            .map(FileChannel.MapMode.READ_ONLY, 0, LENGTH_BYTES)
            .order(ByteOrder.LITTLE_ENDIAN)
            .getLong(0);
    // Negative is beyond 2⁶³ here: the length is unsigned.
    if (length < 0 || length > fileBytes - LENGTH_BYTES || length > MAX_BYTES) {
      throw MoontideException.checkpoint(
          "%s: the header claims %s bytes, but the file has %d and a header at most %d: it is"
              + " truncated or no safetensors file",
          file, Long.toUnsignedString(length), fileBytes, MAX_BYTES);
    }
    ByteBuffer header = channel.map(FileChannel.MapMode.READ_ONLY, LENGTH_BYTES, length);
    return parse(file, header, fileBytes, problems);
  }

  /** Parses {@code header}, the JSON alone, of a file of {@code fileBytes}. */
  static List<StoredTensor> parse(
      String file, ByteBuffer header, long fileBytes, Problems problems) {
    long dataStart = LENGTH_BYTES + header.remaining();
    SafetensorsHeader parsing = new SafetensorsHeader(file, dataStart, fileBytes, problems);
    try (JsonParser json = StrictJson.parser(new ByteBufferBackedInputStream(header))) {
      parsing.parseTensors(json);
    } catch (IOException e) {
      throw StrictJson.unreadable(file, "header", e);
    }
    parsing.tensors.sort(
        Comparator.comparingLong(StoredTensor::position).thenComparingLong(StoredTensor::bytes));
    if (parsing.complete) {
      parsing.checkCoverage();
    }
    return parsing.tensors;
  }

  private void parseTensors(JsonParser json) throws IOException {
    require(json.nextToken() == JsonToken.START_OBJECT, "the header is not a JSON object");
    int described = 0;
    while (json.nextToken() != JsonToken.END_OBJECT) {
      String name = json.currentName();
      require(
          json.nextToken() == JsonToken.START_OBJECT,
          "%s is not described by a JSON object with dtype, shape and data_offsets",
          name);
      if (name.equals("__metadata__")) {
        skipMetadata(json);
      } else {
        require(described++ < MAX_TENSORS, "describes more than %d tensors", MAX_TENSORS);
        parseTensor(json, name);
      }
    }
    require(json.nextToken() == null, "the header goes on after its JSON object");
  }

  private void skipMetadata(JsonParser json) throws IOException {
    while (json.nextToken() != JsonToken.END_OBJECT) {
      String key = json.currentName();
      require(
          json.nextToken() == JsonToken.VALUE_STRING,
          "__metadata__ of \"%s\" is not a string",
          key);
    }
  }

  private void parseTensor(JsonParser json, String name) throws IOException {
    String type = null;
    List<Long> shape = null;
    List<Long> offsets = null;
    while (json.nextToken() != JsonToken.END_OBJECT) {
      String key = json.currentName();
      switch (key) {
        case "dtype" -> {
          require(
              json.nextToken() == JsonToken.VALUE_STRING, "tensor %s: dtype is no string", name);
          type = json.getText();
        }
        case "shape" -> shape = sizes(json, name, key, MAX_RANK);
        case "data_offsets" -> offsets = sizes(json, name, key, 2);
        default -> throw error("tensor %s: unknown key \"%s\"", name, key);
      }
    }
    if (type == null || shape == null || offsets == null || offsets.size() != 2) {
      throw error("tensor %s: expected dtype, shape and two data_offsets", name);
    }
    add(name, type, shape, offsets.get(0), offsets.get(1));
  }

  private List<Long> sizes(JsonParser json, String name, String key, int most) throws IOException {
    require(json.nextToken() == JsonToken.START_ARRAY, "tensor %s: %s is no array", name, key);
    List<Long> sizes = new ArrayList<>(2);
    while (json.nextToken() != JsonToken.END_ARRAY) {
      require(
          json.currentToken() == JsonToken.VALUE_NUMBER_INT
              && json.getNumberType() != JsonParser.NumberType.BIG_INTEGER
              && json.getLongValue() >= 0,
          "tensor %s: %s holds %s, expected integers from 0 to 2^63 - 1",
          name,
          key,
          json.getText());
      require(sizes.size() < most, "tensor %s: %s has more than %d entries", name, key, most);
      sizes.add(json.getLongValue());
    }
    return sizes;
  }

  private void add(String name, String typeName, List<Long> shape, long begin, long end) {
    StoredType type = StoredType.byName(typeName).orElse(null);
    if (type == null) {
      problems.add(
          "%s: tensor %s: dtype is %s, expected one of %s",
          file, name, typeName, Arrays.toString(StoredType.values()));
      complete = false;
      return;
    }
    if (begin > end || end > fileBytes - dataStart) {
      problems.add(
          "%s: tensor %s: data_offsets are [%d, %d], expected them ascending and within the %d"
              + " bytes of data the file has: it is truncated or its header wrong",
          file, name, begin, end, fileBytes - dataStart);
      complete = false;
      return;
    }
    Long bytes = bytes(type, shape);
    if (bytes == null || bytes != end - begin) {
      problems.add(
          "%s: tensor %s: data_offsets span %d bytes, expected %s for %s %s",
          file, name, end - begin, bytes == null ? "more than 2^63" : bytes, type, shape);
      complete = false;
      return;
    }
    tensors.add(new StoredTensor(name, type, shape, dataStart + begin, bytes));
  }

  private static @Nullable Long bytes(StoredType type, List<Long> shape) {
    try {
      long bytes = type.bytes();
      for (long size : shape) {
        bytes = Math.multiplyExact(bytes, size);
      }
      return bytes;
    } catch (ArithmeticException e) {
      return null;
    }
  }

  private void checkCoverage() {
    long covered = dataStart;
    String before = "the header";
    for (StoredTensor tensor : tensors) {
      if (tensor.position() < covered) {
        problems.add(
            "%s: tensor %s begins at byte %d, but %s ends at %d: they overlap",
            file, tensor.name(), tensor.position(), before, covered);
      } else if (tensor.position() > covered) {
        problems.add(
            "%s: bytes %d to %d, before tensor %s, belong to no tensor",
            file, covered, tensor.position(), tensor.name());
      }
      if (tensor.end() > covered) {
        covered = tensor.end();
        before = tensor.name();
      }
    }
    if (covered < fileBytes) {
      problems.add("%s: has %d bytes, but its tensors end at byte %d", file, fileBytes, covered);
    }
  }

  @FormatMethod
  private void require(boolean condition, String format, Object... arguments) {
    if (!condition) {
      throw error(format, arguments);
    }
  }

  @FormatMethod
  private MoontideException error(String format, Object... arguments) {
    return MoontideException.checkpoint("%s: %s", file, String.format(format, arguments));
  }
}
