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

import dev.moontide.api.ChoiceSet;
import dev.moontide.api.MoontideException;
import dev.moontide.api.TokenIds;
import dev.moontide.model.ModelConfig;
import dev.moontide.tokenizer.ChatTemplate;
import dev.moontide.tokenizer.Tokenizer;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/** How a checkpoint reads text. One per folder and JVM, shared by its tasks. Thread-safe. */
final class CheckpointText {
  private static final Map<Path, CheckpointText> LOADED = new ConcurrentHashMap<>();

  /** Choice sets kept, least recently used first to go: rows with a column of choices have many. */
  private static final int CHOICE_SETS = 16;

  private final Path folder;
  private final @Nullable Tokenizer tokenizer;
  private final Optional<ChatTemplate> chatTemplate;

  /** One instance for equal sets, as the engine keeps what it derives from a set by identity. */
  private final Map<List<String>, ChoiceSet> chatChoices = leastRecentlyUsed();

  private final Map<List<String>, ChoiceSet> rawChoices = leastRecentlyUsed();

  private CheckpointText(Path folder) {
    this.folder = folder;
    tokenizer = Tokenizer.isPresent(folder) ? Tokenizer.load(folder) : null;
    chatTemplate = tokenizer == null ? Optional.empty() : ChatTemplate.load(folder, tokenizer);
  }

  /** The text side of the checkpoint in {@code folder}, loaded on first use. */
  static CheckpointText of(Path folder) {
    return LOADED.computeIfAbsent(folder, CheckpointText::new);
  }

  private static Map<List<String>, ChoiceSet> leastRecentlyUsed() {
    return new LinkedHashMap<>(CHOICE_SETS, 0.75f, true) {
      @Override
      protected boolean removeEldestEntry(Map.Entry<List<String>, ChoiceSet> eldest) {
        return size() > CHOICE_SETS;
      }
    };
  }

  /** Whether the checkpoint has a chat template. */
  boolean hasChatTemplate() {
    return chatTemplate.isPresent();
  }

  /**
   * The tokenizer.
   *
   * @throws MoontideException of category checkpoint if there is none
   */
  Tokenizer tokenizer() {
    if (tokenizer == null) {
      throw MoontideException.checkpoint(
          "%s has no tokenizer (tiktoken.model), so text cannot be read: give token ids by"
              + " ids-column, and no labels or choices",
          folder);
    }
    return tokenizer;
  }

  /**
   * The chat template.
   *
   * @throws MoontideException of category checkpoint if there is none
   */
  ChatTemplate chatTemplate() {
    tokenizer();
    return chatTemplate.orElseThrow(
        () ->
            MoontideException.checkpoint(
                "%s has no chat template, which chat, system and messages-column need: leave them"
                    + " out to continue the prompt as it is",
                folder));
  }

  /**
   * The choices {@code names}, each ending with its end of turn in a chat and with the end of text
   * otherwise.
   */
  ChoiceSet choices(List<String> names, boolean chat) {
    Map<List<String>, ChoiceSet> known = chat ? chatChoices : rawChoices;
    synchronized (known) {
      return known.computeIfAbsent(
          names,
          absent -> {
            TokenIds end = chat ? chatTemplate().endOfTurn() : endOfText();
            return new ChoiceSet(names, names.stream().map(name -> encode(name, end)).toList());
          });
    }
  }

  private TokenIds encode(String name, TokenIds end) {
    TokenIds text = tokenizer().encode(name);
    int[] ids = new int[text.length() + end.length()];
    text.copyTo(0, text.length(), ids, 0);
    end.copyTo(0, end.length(), ids, text.length());
    return TokenIds.of(ids);
  }

  private TokenIds endOfText() {
    List<Integer> ids = ModelConfig.load(folder).eosTokenId();
    if (ids.isEmpty()) {
      throw MoontideException.checkpoint(
          "%s names no eos_token_id, which ends a choice: add it", folder.resolve("config.json"));
    }
    return TokenIds.of(ids.get(0));
  }
}
