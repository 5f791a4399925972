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
import dev.moontide.api.TokenIds;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.NavigableSet;
import java.util.Optional;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * The tokens that end a generation. A checkpoint says in several places what they are, and each
 * names but some: a chat model must stop both at the end of text and at the end of its turn.
 */
public final class StopTokens {
  private final TokenIds ids;

  private StopTokens(NavigableSet<Integer> ids) {
    this.ids = TokenIds.of(ids.stream().mapToInt(Integer::intValue).toArray());
  }

  /**
   * Collects {@code eos_token_id} of {@code config.json} and of {@code generation_config.json}
   * (either may be missing), {@code eos_token} of {@code tokenizer_config.json}, and the first
   * control token with which the chat template ends a turn.
   *
   * @param tokenizer the folder's tokenizer, or null for a checkpoint without one
   * @throws MoontideException of category checkpoint for an id that is none
   */
  public static StopTokens load(
      Path folder, @Nullable Tokenizer tokenizer, Optional<ChatTemplate> chatTemplate) {
    NavigableSet<Integer> ids = new TreeSet<>();
    addEndOfText(folder.resolve("config.json"), ids);
    addEndOfText(folder.resolve("generation_config.json"), ids);
    if (tokenizer != null) {
      TokenizerConfig.load(folder)
          .tokenText("eos_token")
          .map(text -> tokenizer.specialTokens().get(text))
          .ifPresent(ids::add);
    }
    chatTemplate
        .map(ChatTemplate::endOfTurn)
        .filter(end -> end.length() > 0)
        .ifPresent(end -> ids.add(end.get(0)));
    return new StopTokens(ids);
  }

  private static void addEndOfText(Path file, NavigableSet<Integer> ids) {
    if (!Files.exists(file)) {
      return;
    }
    JsonNode value = JsonFile.readObject(file).path("eos_token_id");
    if (value.isArray()) {
      value.forEach(id -> ids.add(id(file, id)));
    } else if (!value.isMissingNode() && !value.isNull()) {
      ids.add(id(file, value));
    }
  }

  private static int id(Path file, JsonNode value) {
    if (!value.isIntegralNumber() || !value.canConvertToInt() || value.intValue() < 0) {
      throw MoontideException.checkpoint(
          "%s: eos_token_id should be a token id or a list of them, found %s", file, value);
    }
    return value.intValue();
  }

  /** The ids, ascending. */
  public TokenIds ids() {
    return ids;
  }

  /** Whether {@code token} ends a generation. */
  public boolean contains(int token) {
    for (int i = 0; i < ids.length(); i++) {
      if (ids.get(i) == token) {
        return true;
      }
    }
    return false;
  }
}
