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

import dev.moontide.api.MoontideException;
import java.io.Serializable;
import org.jspecify.annotations.Nullable;

/**
 * How a row becomes a prompt.
 *
 * @param source what of the row the prompt is made of
 * @param system Jinja template of the system message, for chat prompts; null for none, which lets
 *     the checkpoint's template insert its own
 * @param mode chat or plain completion
 * @param longPrompt what becomes of a prompt that leaves no room for its answer
 * @param continuation string column whose text is scored as the prompt's continuation; null scores
 *     the prompt itself
 */
public record PromptOptions(
    Source source,
    @Nullable String system,
    Mode mode,
    LongPrompt longPrompt,
    @Nullable String continuation)
    implements Serializable {

  /** What of a row its prompt is made of. */
  public sealed interface Source extends Serializable {
    /** A string column, whole. */
    record Text(String column) implements Source {}

    /** A Jinja template over the row's columns. */
    record Template(String jinja) implements Source {}

    /**
     * A conversation: array of struct with {@code role}, {@code content} and, if there, {@code
     * name} and {@code tool_call_id}; or a string holding the same as JSON, as OpenAI writes it.
     */
    record Messages(String column) implements Source {}

    /** Token ids, array of int or bigint, used as they are. */
    record Ids(String column) implements Source {}
  }

  /** Whether the checkpoint's chat template wraps the prompt. */
  public enum Mode {
    /**
     * Chat where the checkpoint has a template and the prompt is text; but text is scored as it
     * stands.
     */
    AUTO,
    /** The prompt is the user's message, or the conversation. */
    CHAT,
    /** The prompt is continued as it is. */
    RAW
  }

  /**
   * What becomes of a prompt that leaves no room for its answer in the model's length: a choice's
   * tokens, or one token of free text.
   *
   * <p>Truncating shortens the row's text and renders the prompt again, so that the template's own
   * words and markers all stay: of the columns a template uses, the longest string loses tokens; of
   * a conversation, the longest message; token ids are cut as they are. Free text then gets room
   * for its {@code max-tokens}, or half of the model's length where that is less.
   */
  public enum LongPrompt {
    /** The row is an error row. */
    ERROR,
    /** The beginning of the text is dropped. */
    TRUNCATE_LEFT,
    /** The end of the text is dropped. */
    TRUNCATE_RIGHT
  }

  /** Of a prompt that is not the beginning of a text to score. */
  public PromptOptions(Source source, @Nullable String system, Mode mode, LongPrompt longPrompt) {
    this(source, system, mode, longPrompt, null);
  }

  public PromptOptions {
    if (mode == Mode.CHAT && source instanceof Source.Ids ids) {
      throw MoontideException.configuration(
          "chat is given with ids-column %s: token ids are used as they are; leave one out",
          ids.column());
    }
    if (mode == Mode.RAW && source instanceof Source.Messages messages) {
      throw MoontideException.configuration(
          "raw is given with messages-column %s: messages need the chat template; leave one out",
          messages.column());
    }
    if (system != null && (mode == Mode.RAW || source instanceof Source.Ids)) {
      throw MoontideException.configuration(
          "system is given with %s: a system message needs the chat template; leave one out",
          mode == Mode.RAW ? "raw" : "ids-column");
    }
  }
}
