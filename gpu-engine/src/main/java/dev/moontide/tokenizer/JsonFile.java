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
package dev.moontide.tokenizer;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.moontide.api.MoontideException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Reads a checkpoint's small JSON files, which nobody has checked. */
final class JsonFile {
  private static final long MAX_BYTES = 64L << 20;

  private static final ObjectMapper MAPPER =
      JsonMapper.builder().enable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION).build();

  private JsonFile() {}

  /** The object in {@code file}. */
  static JsonNode readObject(Path file) {
    JsonNode root;
    try {
      root = MAPPER.readTree(readString(file));
    } catch (JsonProcessingException e) {
      // Without where an object began in a source that is not shown.
      throw MoontideException.checkpoint(
          "%s is not valid JSON: %s",
          file, e.getOriginalMessage().replaceFirst("(?s) \\(start marker at .*|\n.*", ""));
    }
    if (!root.isObject()) {
      throw MoontideException.checkpoint(
          "%s should hold a JSON object but holds %s", file, root.getNodeType());
    }
    return root;
  }

  /** The text of {@code file}. */
  static String readString(Path file) {
    try {
      long size = Files.size(file);
      if (size > MAX_BYTES) {
        throw MoontideException.checkpoint(
            "%s has %d bytes, more than the %d such a file may have", file, size, MAX_BYTES);
      }
      return Files.readString(file);
    } catch (IOException e) {
      throw MoontideException.checkpoint("cannot read %s: %s", file, e);
    }
  }
}
