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

import dev.moontide.api.MoontideException;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * One message of a conversation. All of its text is a row's: none of it can become a control token.
 * An unknown role or missing content is an error of the row.
 *
 * @param role {@code system}, {@code user}, {@code assistant} or {@code tool}
 * @param content the text
 * @param name the speaker's name, if given
 * @param toolCallId the call a {@code tool} message answers, if given
 */
public record ChatMessage(
    String role, String content, @Nullable String name, @Nullable String toolCallId) {
  private static final Set<String> ROLES = Set.of("system", "user", "assistant", "tool");

  public ChatMessage {
    // Both may come straight from a row, where anything may be missing.
    if (role == null || !ROLES.contains(role)) {
      throw MoontideException.row(
          "a message has the role '%s'; it should be system, user, assistant or tool", role);
    }
    if (content == null) {
      throw MoontideException.row("a message of role %s has no content", role);
    }
  }

  /** A message of {@code role} with {@code content} alone. */
  public static ChatMessage of(String role, String content) {
    return new ChatMessage(role, content, null, null);
  }
}
