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

import dev.moontide.tokenizer.ChatMessage;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * What a row's prompt is made of, before it becomes tokens.
 *
 * @param values the columns that templates use, by name
 * @param conversation its messages; empty if the prompt is made of the values
 */
record RowTexts(Map<String, @Nullable Object> values, List<ChatMessage> conversation) {
  /** The longest text, which truncation shortens; empty if there is none. */
  String longest() {
    if (!conversation.isEmpty()) {
      return conversation.get(longestMessage()).content();
    }
    String column = longestColumn();
    return column != null && values.get(column) instanceof String text ? text : "";
  }

  /** The same with {@code text} for the longest text. */
  RowTexts withLongest(String text) {
    if (!conversation.isEmpty()) {
      int index = longestMessage();
      ChatMessage message = conversation.get(index);
      List<ChatMessage> messages = new ArrayList<>(conversation);
      messages.set(
          index, new ChatMessage(message.role(), text, message.name(), message.toolCallId()));
      return new RowTexts(values, messages);
    }
    Map<String, @Nullable Object> changed = new HashMap<>(values);
    String column = longestColumn();
    if (column != null) {
      changed.put(column, text);
    }
    return new RowTexts(changed, conversation);
  }

  private int longestMessage() {
    return IntStream.range(0, conversation.size())
        .boxed()
        .max(Comparator.comparing(i -> conversation.get(i).content().length()))
        .orElseThrow();
  }

  private @Nullable String longestColumn() {
    String longest = null;
    int length = 0;
    for (Map.Entry<String, @Nullable Object> value : values.entrySet()) {
      if (value.getValue() instanceof String text && text.length() > length) {
        longest = value.getKey();
        length = text.length();
      }
    }
    return longest;
  }
}
