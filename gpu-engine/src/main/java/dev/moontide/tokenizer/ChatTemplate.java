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

import com.knuddels.jtokkit.api.IntArrayList;
import dev.moontide.api.MoontideException;
import dev.moontide.api.TokenIds;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * A checkpoint's own Jinja chat template. Immutable and thread-safe.
 *
 * <p>It is rendered as transformers does ({@code messages}, {@code add_generation_prompt} and the
 * tokenizer's {@code bos_token} and the like), except that it has no clock: {@code strftime_now} is
 * undefined, so a row's prompt is the same on any day.
 */
public final class ChatTemplate {
  private static final List<String> NAMED_TOKENS =
      List.of("bos_token", "eos_token", "unk_token", "pad_token");

  private final Jinja template;
  private final String source;
  private final Map<String, String> namedTokens;
  private final Tokenizer tokenizer;
  private final TextGuard.Choice guards;

  private ChatTemplate(
      String name, String source, Map<String, String> namedTokens, Tokenizer tokenizer) {
    this.template = Jinja.compile(name, source);
    this.source = source;
    this.namedTokens = Map.copyOf(namedTokens);
    this.tokenizer = tokenizer;
    this.guards = TextGuard.Choice.of(tokenizer.specialTokenMatcher());
  }

  /**
   * The template of the checkpoint in {@code folder}, if it has one: {@code chat_template.jinja},
   * or else {@code chat_template} in {@code tokenizer_config.json} (of several, the one named
   * default).
   *
   * @throws MoontideException of category checkpoint or, for a syntax error, configuration
   */
  public static Optional<ChatTemplate> load(Path folder, Tokenizer tokenizer) {
    TokenizerConfig config = TokenizerConfig.load(folder);
    Map<String, String> namedTokens = new HashMap<>();
    for (String name : NAMED_TOKENS) {
      config.tokenText(name).ifPresent(text -> namedTokens.put(name, text));
    }
    Path file = folder.resolve("chat_template.jinja");
    if (Files.exists(file)) {
      String source = JsonFile.readString(file);
      return Optional.of(new ChatTemplate(file.toString(), source, namedTokens, tokenizer));
    }
    String name = "chat_template in " + config.file();
    return config
        .chatTemplate()
        .map(source -> new ChatTemplate(name, source, namedTokens, tokenizer));
  }

  /** A template given as text, instead of the checkpoint's. */
  public static ChatTemplate compile(String source, Tokenizer tokenizer) {
    return new ChatTemplate("chat template", source, Map.of(), tokenizer);
  }

  /** The prompt as text, for people to read: what {@link #encode}'s tokens decode to. */
  public String render(List<ChatMessage> messages, boolean addGenerationPrompt) {
    Prompt prompt = prompt(messages, addGenerationPrompt);
    return prompt.guard.restore(prompt.text);
  }

  /** The prompt as tokens: the template's markers as control tokens, the messages as text. */
  public TokenIds encode(List<ChatMessage> messages, boolean addGenerationPrompt) {
    Prompt prompt = prompt(messages, addGenerationPrompt);
    IntArrayList ids = new IntArrayList(prompt.text.length() / 3 + 8);
    for (SpecialTokens.Stretch stretch : tokenizer.specialTokenMatcher().split(prompt.text)) {
      if (stretch.token().isPresent()) {
        ids.add(stretch.token().get().id());
      } else {
        String text = prompt.text.substring(stretch.from(), stretch.to());
        tokenizer.encode(prompt.guard.restore(text), ids);
      }
    }
    return TokenIds.of(ids.toArray());
  }

  /**
   * The control tokens that follow an assistant's message: its end of turn. Found by rendering an
   * assistant message, so it is the template's own. Empty if the template writes none.
   */
  public TokenIds endOfTurn() {
    String content = "x0x1x2x3x4";
    String text =
        render(
            List.of(ChatMessage.of("user", "question"), ChatMessage.of("assistant", content)),
            false);
    IntArrayList ids = new IntArrayList();
    int at = text.lastIndexOf(content);
    String after = at < 0 ? "" : text.substring(at + content.length());
    for (SpecialTokens.Stretch stretch : tokenizer.specialTokenMatcher().split(after)) {
      if (stretch.token().isEmpty()) {
        break;
      }
      ids.add(stretch.token().get().id());
    }
    return TokenIds.of(ids.toArray());
  }

  /** A rendered conversation in which every special token is the template's. */
  private record Prompt(String text, TextGuard guard) {}

  private Prompt prompt(List<ChatMessage> messages, boolean addGenerationPrompt) {
    List<String> texts = new ArrayList<>();
    texts.add(source); // a stand-in must not be a character of the template either
    for (ChatMessage message : messages) {
      addIfPresent(texts, message.content());
      addIfPresent(texts, message.name());
      addIfPresent(texts, message.toolCallId());
    }
    TextGuard guard = guards.forTexts(texts);
    String text = render(messages, addGenerationPrompt, guard::guard);
    // A filter that removes characters of a message could still put a special token together. The
    // strict guard forbids that, but hides more from the template's conditions: it decides only
    // where it makes a difference to the control tokens.
    if (texts.stream().skip(1).anyMatch(guard::isStrictDifferent)) {
      String strict = render(messages, addGenerationPrompt, guard::guardStrictly);
      if (!controlTokens(strict).equals(controlTokens(text))) {
        text = strict;
      }
    }
    return new Prompt(text, guard);
  }

  private static void addIfPresent(List<String> texts, @Nullable String text) {
    if (text != null) {
      texts.add(text);
    }
  }

  private String render(
      List<ChatMessage> messages, boolean addGenerationPrompt, UnaryOperator<String> guard) {
    List<Map<String, Object>> rendered = new ArrayList<>(messages.size());
    for (ChatMessage message : messages) {
      Map<String, Object> fields = new HashMap<>();
      fields.put("role", message.role());
      fields.put("content", guard.apply(message.content()));
      if (message.name() != null) {
        fields.put("name", guard.apply(message.name()));
      }
      if (message.toolCallId() != null) {
        fields.put("tool_call_id", guard.apply(message.toolCallId()));
      }
      rendered.add(fields);
    }
    Map<String, Object> variables = new HashMap<>(namedTokens);
    variables.put("messages", rendered);
    variables.put("add_generation_prompt", addGenerationPrompt);
    return template.render(variables, name -> null);
  }

  private List<SpecialTokens.Token> controlTokens(String text) {
    return tokenizer.specialTokenMatcher().split(text).stream()
        .flatMap(stretch -> stretch.token().stream())
        .toList();
  }
}
