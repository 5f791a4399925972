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
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.moontide.api.MoontideException;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * JSON that may be hostile: a key stands once, and depth, names, numbers and strings are bounded.
 */
public final class StrictJson {
  /** Longest key, which is also the longest name of a tensor. */
  static final int MAX_NAME_LENGTH = 1024;

  private static final JsonFactory FACTORY =
      JsonFactory.builder()
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          // Names are many and distinct: a symbol table gains nothing and invites collisions.
          .disable(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES)
          .streamReadConstraints(
              StreamReadConstraints.builder()
                  .maxNestingDepth(32)
                  .maxNameLength(MAX_NAME_LENGTH)
                  .maxNumberLength(64)
                  .maxStringLength(1 << 20)
                  .build())
          .build();

  private static final ObjectMapper MAPPER =
      new ObjectMapper(FACTORY).enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

  private StrictJson() {}

  /** Parses UTF-8 and nothing else; the parser closes the stream. */
  static JsonParser parser(InputStream utf8) throws IOException {
    // A decoder made this way reports malformed bytes; one made from the charset replaces them.
    return FACTORY.createParser(new InputStreamReader(utf8, StandardCharsets.UTF_8.newDecoder()));
  }

  /**
   * Reads a whole file, which must be an object.
   *
   * @throws MoontideException if it is missing, larger than {@code maxBytes} or not such JSON
   */
  public static JsonNode readObject(Path file, long maxBytes) {
    try (JsonParser parser = parser(open(file, maxBytes))) {
      JsonNode root = MAPPER.readTree(parser);
      if (root == null || !root.isObject()) {
        throw MoontideException.checkpoint("%s: expected a JSON object", file);
      }
      return root;
    } catch (IOException e) {
      throw unreadable(file.toString(), "JSON", e);
    }
  }

  /** Opens a file of at most {@code maxBytes}. */
  static InputStream open(Path file, long maxBytes) throws IOException {
    if (!Files.isRegularFile(file)) {
      throw MoontideException.checkpoint("%s: there is no such file", file);
    }
    long size = Files.size(file);
    if (size > maxBytes) {
      throw MoontideException.checkpoint(
          "%s: has %d bytes, expected at most %d", file, size, maxBytes);
    }
    return Files.newInputStream(file);
  }

  /** The error for {@code what} that could not be parsed or read. */
  static MoontideException unreadable(String file, String what, IOException cause) {
    if (cause instanceof JsonProcessingException json) {
      String where =
          json.getLocation() == null
              ? ""
              : " at character %d".formatted(json.getLocation().getCharOffset());
      return MoontideException.checkpoint(
          "%s: the %s is not valid%s: %s", file, what, where, told(json));
    }
    return new MoontideException(
        MoontideException.Category.CHECKPOINT,
        "%s: cannot read the %s: %s".formatted(file, what, cause),
        cause);
  }

  /** In one line, and without where an object began in a source that is not shown. */
  private static String told(JsonProcessingException invalid) {
    return invalid.getOriginalMessage().replaceFirst("(?s) \\(start marker at .*|\n.*", "");
  }
}
