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
import dev.moontide.api.TokenIds;
import dev.moontide.spark.JobOptions.Task;
import dev.moontide.spark.PromptOptions.Source;
import dev.moontide.tokenizer.ChatMessage;
import dev.moontide.tokenizer.PromptTemplate;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.types.StructType;
import org.jspecify.annotations.Nullable;

/** Makes the prompts of rows whose prompts are text. For one thread. */
final class PromptEncoder {
  private final CheckpointText checkpoint;
  private final Source source;
  private final boolean chat;
  private final boolean addGenerationPrompt;
  private final @Nullable PromptTemplate template;
  private final @Nullable PromptTemplate system;
  private final @Nullable Conversations conversations;
  private final List<Column> columns;

  /**
   * @param schema columns of the rows, as {@link Columns} checked them
   */
  PromptEncoder(JobOptions options, StructType schema, CheckpointText checkpoint) {
    PromptOptions prompt = options.prompt();
    this.checkpoint = checkpoint;
    source = prompt.source();
    chat = isChat(options, checkpoint);
    // A continuation is what the model would have written.
    addGenerationPrompt = options.task() != Task.SCORE || prompt.continuation() != null;
    system = prompt.system() == null ? null : PromptTemplate.compile(prompt.system());
    Set<String> used = new TreeSet<>(system == null ? Set.of() : system.columns());
    template = source instanceof Source.Template t ? PromptTemplate.compile(t.jinja()) : null;
    if (template != null) {
      used.addAll(template.columns());
    } else if (source instanceof Source.Text text) {
      used.add(text.column());
    }
    conversations =
        source instanceof Source.Messages messages
            ? new Conversations(Column.of(schema, messages.column()))
            : null;
    columns = used.stream().map(name -> Column.of(schema, name)).toList();
    if (chat) {
      checkpoint.chatTemplate(); // missing, it fails the job and not each row
    } else {
      checkpoint.tokenizer();
    }
  }

  /** Whether the prompts of a job go through the checkpoint's chat template. */
  static boolean isChat(JobOptions options, CheckpointText checkpoint) {
    PromptOptions prompt = options.prompt();
    return switch (prompt.mode()) {
      case CHAT -> true;
      case RAW -> false;
      case AUTO ->
          prompt.source() instanceof Source.Messages
              || prompt.system() != null
              || (!(prompt.source() instanceof Source.Ids)
                  && options.task() != Task.SCORE
                  && checkpoint.hasChatTemplate());
    };
  }

  /**
   * Reads what a row's prompt is made of.
   *
   * @throws MoontideException of category row
   */
  RowTexts read(InternalRow row) {
    Map<String, @Nullable Object> values = new HashMap<>();
    for (Column column : columns) {
      values.put(column.name(), column.value(row));
    }
    return new RowTexts(values, conversations == null ? List.of() : conversations.read(row));
  }

  /**
   * Makes the prompt.
   *
   * @throws MoontideException of category row
   */
  TokenIds encode(RowTexts texts) {
    if (!chat) {
      return template == null
          ? checkpoint.tokenizer().encode(text(texts))
          : template.encode(texts.values(), checkpoint.tokenizer());
    }
    List<ChatMessage> messages = new ArrayList<>(texts.conversation());
    if (messages.isEmpty()) {
      messages.add(
          ChatMessage.of("user", template == null ? text(texts) : template.render(texts.values())));
    }
    // A conversation's own system message goes before the job's.
    if (system != null && !messages.get(0).role().equals("system")) {
      messages.add(0, ChatMessage.of("system", system.render(texts.values())));
    }
    return checkpoint.chatTemplate().encode(messages, addGenerationPrompt);
  }

  /**
   * The tokens that the job's prompts have in common, as far as a trial shows: where those of two
   * rows part that have different texts in every column. None if neither row has a prompt.
   */
  TokenIds commonPrefix() {
    try {
      TokenIds one = encode(trial("a"));
      return TokenIds.copyOfRange(one.toArray(), 0, one.commonPrefix(encode(trial("1"))));
    } catch (MoontideException e) {
      if (e.category() != MoontideException.Category.ROW) {
        throw e;
      }
      return TokenIds.of();
    }
  }

  private RowTexts trial(String text) {
    Map<String, @Nullable Object> values = new HashMap<>();
    columns.forEach(column -> values.put(column.name(), text));
    return new RowTexts(
        values, conversations == null ? List.of() : List.of(ChatMessage.of("user", text)));
  }

  private String text(RowTexts texts) {
    String column = ((Source.Text) source).column();
    if (texts.values().get(column) instanceof String text) {
      return text;
    }
    throw MoontideException.row("column %s is null: a text is needed", column);
  }
}
