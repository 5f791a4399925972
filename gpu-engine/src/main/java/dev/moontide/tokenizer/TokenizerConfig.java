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

import com.fasterxml.jackson.databind.JsonNode;
import dev.moontide.api.MoontideException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;

/** What {@code tokenizer_config.json} says; a folder without it says nothing. */
final class TokenizerConfig {
  /** Longer texts would make recognising special tokens slow, and none is. */
  private static final int MAX_SPECIAL_TOKEN_LENGTH = 256;

  /** Ids this far above the ranks would make tables of ids huge. */
  private static final int MAX_ADDED_TOKENS = 1 << 20;

  private final Path file;
  private final Optional<JsonNode> root;

  private TokenizerConfig(Path file, Optional<JsonNode> root) {
    this.file = file;
    this.root = root;
  }

  static TokenizerConfig load(Path folder) {
    Path file = folder.resolve("tokenizer_config.json");
    return new TokenizerConfig(
        file, Files.exists(file) ? Optional.of(JsonFile.readObject(file)) : Optional.empty());
  }

  /**
   * {@code added_tokens_decoder}: the text of each special token, by its id.
   *
   * @param ranks ids below this are the vocabulary's own
   */
  SortedMap<Integer, String> addedTokens(int ranks) {
    JsonNode decoder = root.map(r -> r.path("added_tokens_decoder")).orElse(null);
    if (decoder == null || !decoder.isObject()) {
      throw MoontideException.checkpoint(
          "%s should name the special tokens in an object added_tokens_decoder, which is not there",
          file);
    }
    SortedMap<Integer, String> textOfId = new TreeMap<>();
    Map<String, Integer> idOfText = new LinkedHashMap<>();
    decoder
        .properties()
        .forEach(
            entry -> {
              int id = id(entry.getKey(), ranks);
              String text = entry.getValue().path("content").textValue();
              if (text == null || text.isEmpty() || text.length() > MAX_SPECIAL_TOKEN_LENGTH) {
                throw MoontideException.checkpoint(
                    "%s: added token %d should have a content of 1 to %d characters, found %s",
                    file, id, MAX_SPECIAL_TOKEN_LENGTH, entry.getValue().path("content"));
              }
              textOfId.put(id, text);
              Integer before = idOfText.put(text, id);
              if (before != null) {
                throw MoontideException.checkpoint(
                    "%s: added tokens %d and %d both have the content '%s'",
                    file, before, id, text);
              }
            });
    return textOfId;
  }

  private int id(String key, int ranks) {
    try {
      int id = Integer.parseInt(key);
      if (id >= ranks && id < ranks + MAX_ADDED_TOKENS) {
        return id;
      }
    } catch (NumberFormatException e) {
      // Reported below with the file.
    }
    throw MoontideException.checkpoint(
        "%s: the id '%s' in added_tokens_decoder should be from %d, the first after"
            + " tiktoken.model, to %d",
        file, key, ranks, ranks + MAX_ADDED_TOKENS - 1);
  }

  /** The text of {@code bos_token}, {@code eos_token} and the like. */
  Optional<String> tokenText(String key) {
    JsonNode value = root.map(r -> r.path(key)).orElse(null);
    if (value == null || value.isMissingNode() || value.isNull()) {
      return Optional.empty();
    }
    String text = value.isObject() ? value.path("content").textValue() : value.textValue();
    if (text == null) {
      throw MoontideException.checkpoint(
          "%s: %s should be a token's text or an object with its content, found %s",
          file, key, value);
    }
    return Optional.of(text);
  }

  /** {@code chat_template}: one template, or the one named "default" of a list. */
  Optional<String> chatTemplate() {
    JsonNode value = root.map(r -> r.path("chat_template")).orElse(null);
    if (value == null || value.isMissingNode() || value.isNull()) {
      return Optional.empty();
    }
    if (value.isTextual()) {
      return Optional.of(value.textValue());
    }
    for (JsonNode named : value) {
      String template = named.path("template").textValue();
      if (template != null && "default".equals(named.path("name").textValue())) {
        return Optional.of(template);
      }
    }
    throw MoontideException.checkpoint(
        "%s: chat_template should be a template, or a list with one named \"default\"", file);
  }

  Path file() {
    return file;
  }
}
