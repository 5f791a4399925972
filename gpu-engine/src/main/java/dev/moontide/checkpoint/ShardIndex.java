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
import dev.moontide.api.MoontideException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/** {@code model.safetensors.index.json}: which file of the folder holds which tensor. */
final class ShardIndex {
  static final String FILE = "model.safetensors.index.json";

  /** Kimi-K2's has 12 MB. */
  private static final long MAX_BYTES = 256L << 20;

  private static final int MAX_TENSORS = 1 << 21;

  private ShardIndex() {}

  /**
   * Reads {@code weight_map}: tensor → the shard's file name, as the index spells it.
   *
   * @throws MoontideException if the file is not such an index
   */
  static Map<String, String> read(Path file) {
    try (JsonParser json = StrictJson.parser(StrictJson.open(file, MAX_BYTES))) {
      Map<String, String> shards = null;
      if (json.nextToken() != JsonToken.START_OBJECT) {
        throw MoontideException.checkpoint("%s: expected a JSON object", file);
      }
      while (json.nextToken() != JsonToken.END_OBJECT) {
        boolean weightMap = json.currentName().equals("weight_map");
        JsonToken value = json.nextToken();
        if (weightMap && value == JsonToken.START_OBJECT) {
          shards = weightMap(file, json);
        } else {
          json.skipChildren();
        }
      }
      if (shards == null || shards.isEmpty()) {
        throw MoontideException.checkpoint(
            "%s: expected an object \"weight_map\" from tensor names to file names", file);
      }
      return shards;
    } catch (IOException e) {
      throw StrictJson.unreadable(file.toString(), "index", e);
    }
  }

  private static Map<String, String> weightMap(Path file, JsonParser json) throws IOException {
    Map<String, String> names = new LinkedHashMap<>();
    // One string for all tensors of a shard.
    Map<String, String> shards = new LinkedHashMap<>();
    while (json.nextToken() != JsonToken.END_OBJECT) {
      String tensor = json.currentName();
      if (json.nextToken() != JsonToken.VALUE_STRING) {
        throw MoontideException.checkpoint(
            "%s: weight_map of %s is no file name but %s", file, tensor, json.currentToken());
      }
      if (names.size() >= MAX_TENSORS) {
        throw MoontideException.checkpoint(
            "%s: weight_map has more than %d tensors", file, MAX_TENSORS);
      }
      String shard = json.getText();
      names.put(tensor, shards.computeIfAbsent(shard, name -> name));
    }
    return names;
  }
}
