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

import dev.moontide.api.TokenIds;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/** A checkpoint's own Jinja chat template. Immutable and thread-safe. */
public final class ChatTemplate {
  ChatTemplate() {}

  /** The template of the checkpoint in {@code folder}, if it has one. */
  public static Optional<ChatTemplate> load(Path folder, Tokenizer tokenizer) {
    throw new IllegalStateException("skeleton");
  }

  /** The prompt as text, for people to read. */
  public String render(List<ChatMessage> messages, boolean addGenerationPrompt) {
    throw new IllegalStateException("skeleton");
  }

  /** The prompt as tokens: the template's markers as control tokens, the messages as text. */
  public TokenIds encode(List<ChatMessage> messages, boolean addGenerationPrompt) {
    throw new IllegalStateException("skeleton");
  }

  /**
   * The control tokens that follow an assistant's message: its end of turn. Found by rendering an
   * assistant message, so it is the template's own.
   */
  public TokenIds endOfTurn() {
    throw new IllegalStateException("skeleton");
  }
}
