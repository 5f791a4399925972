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
import dev.moontide.api.GenerationRequest;
import dev.moontide.api.MoontideException;
import dev.moontide.api.Objective;
import dev.moontide.api.TokenIds;
import dev.moontide.spark.JobOptions.Task;
import dev.moontide.spark.PromptOptions.LongPrompt;
import dev.moontide.spark.PromptOptions.Source;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.apache.spark.sql.types.IntegerType;
import org.apache.spark.sql.types.StructType;
import org.jspecify.annotations.Nullable;

/** Makes the request a row asks for. For one thread. */
final class RowPrompter implements Inference.Prompter {
  private final JobOptions options;
  private final CheckpointText checkpoint;
  private final int maxModelLength;
  private final boolean chat;
  private final @Nullable PromptEncoder encoder;
  private final @Nullable Column ids;
  private final @Nullable Column rowId;
  private final @Nullable Column choicesColumn;
  private final @Nullable Column continuation;
  private final @Nullable ChoiceSet fixedChoices;
  private final @Nullable Truncation truncation;
  private final TokenIds commonPrefix;

  /**
   * @param schema columns of the rows, as {@link Columns} checked them
   * @param maxModelLength longest prompt and output together, in tokens
   */
  RowPrompter(
      JobOptions options, StructType schema, CheckpointText checkpoint, int maxModelLength) {
    this.options = options;
    this.checkpoint = checkpoint;
    this.maxModelLength = maxModelLength;
    chat = PromptEncoder.isChat(options, checkpoint);
    ids =
        options.prompt().source() instanceof Source.Ids source
            ? Column.of(schema, source.column())
            : null;
    encoder = ids == null ? new PromptEncoder(options, schema, checkpoint) : null;
    String idColumn = options.output().idColumn();
    rowId = idColumn == null ? null : Column.of(schema, idColumn);
    ChoiceOptions choices = options.choices();
    choicesColumn =
        choices != null && choices.source() instanceof ChoiceOptions.Source.Column column
            ? Column.of(schema, column.name())
            : null;
    fixedChoices =
        choices != null && choices.source() instanceof ChoiceOptions.Source.Fixed fixed
            ? checkpoint.choices(fixed.names(), chat)
            : null;
    String continuationColumn = options.prompt().continuation();
    continuation = continuationColumn == null ? null : Column.of(schema, continuationColumn);
    truncation =
        options.prompt().longPrompt() == LongPrompt.ERROR
            ? null
            : new Truncation(options.prompt().longPrompt());
    commonPrefix =
        encoder == null || !options.model().prefixCache() ? TokenIds.of() : encoder.commonPrefix();
  }

  @Override
  public GenerationRequest request(long id, InternalRow row) {
    ChoiceSet choices = choicesColumn == null ? fixedChoices : choices(choicesColumn, row);
    if (continuation != null) {
      return scoreContinuation(id, row, continuation);
    }
    TokenIds prompt = prompt(row, limit(choices));
    return new GenerationRequest(id, prompt, objective(row, prompt, choices));
  }

  @Override
  public int cachedTokens(TokenIds prompt) {
    // The last token is computed for what follows it.
    return Math.min(commonPrefix.commonPrefix(prompt), Math.max(0, prompt.length() - 1));
  }

  /** A text after its prompt, each made into tokens by itself, as a model would have written it. */
  private GenerationRequest scoreContinuation(long id, InternalRow row, Column column) {
    String text = column.text(row);
    if (text == null) {
      throw MoontideException.row("column %s is null: a text is needed", column.name());
    }
    TokenIds scored = checkpoint.tokenizer().encode(text);
    TokenIds prompt = prompt(row, maxModelLength - scored.length());
    if (prompt.length() == 0) {
      throw MoontideException.row(
          "the prompt has no tokens, so nothing precedes the first token of column %s",
          column.name());
    }
    int[] tokens = new int[prompt.length() + scored.length()];
    prompt.copyTo(0, prompt.length(), tokens, 0);
    scored.copyTo(0, scored.length(), tokens, prompt.length());
    return new GenerationRequest(id, TokenIds.of(tokens), new Objective.Score(prompt.length()));
  }

  private Objective objective(InternalRow row, TokenIds prompt, @Nullable ChoiceSet choices) {
    if (choices != null && options.choices() != null) {
      return new Objective.Choose(choices, options.choices().probabilityTolerance());
    }
    if (options.task() == Task.SCORE) {
      return new Objective.Score();
    }
    String text = rowId == null ? null : rowId.text(row);
    long key = text == null ? RowKey.of(prompt) : RowKey.of(text);
    return new Objective.Sample(options.sampling(), key, 0);
  }

  /**
   * @param limit tokens it is truncated to, where it is
   */
  private TokenIds prompt(InternalRow row, int limit) {
    if (ids != null) {
      TokenIds prompt = tokenIds(ids, row);
      return truncation == null ? prompt : truncation.fit(prompt, limit);
    }
    if (encoder == null) {
      throw new IllegalStateException("a prompt is either text or token ids");
    }
    RowTexts texts = encoder.read(row);
    return truncation == null
        ? encoder.encode(texts)
        : truncation.fit(texts, encoder::encode, checkpoint.tokenizer(), limit);
  }

  /** Tokens of a truncated prompt at most; whether others are too long, the engine says. */
  private int limit(@Nullable ChoiceSet choices) {
    if (choices != null) {
      return maxModelLength - choices.tokens().stream().mapToInt(TokenIds::length).max().orElse(0);
    }
    return options.task() == Task.SCORE
        ? maxModelLength
        : maxModelLength - Math.min(options.sampling().maxTokens(), maxModelLength / 2);
  }

  private static TokenIds tokenIds(Column column, InternalRow row) {
    ArrayData array = array(column, row);
    boolean isInt = column.elementType() instanceof IntegerType;
    int[] tokens = new int[array.numElements()];
    for (int i = 0; i < tokens.length; i++) {
      if (array.isNullAt(i)) {
        throw MoontideException.row("column %s: the token id at %d is null", column.name(), i);
      }
      long token = isInt ? array.getInt(i) : array.getLong(i);
      if (token < 0 || token > Integer.MAX_VALUE) {
        throw MoontideException.row(
            "column %s: %d at %d is no token id: ids run from 0 to the vocabulary's last",
            column.name(), token, i);
      }
      tokens[i] = (int) token;
    }
    return TokenIds.of(tokens);
  }

  private ChoiceSet choices(Column column, InternalRow row) {
    ArrayData array = array(column, row);
    List<String> names = new ArrayList<>(array.numElements());
    for (int i = 0; i < array.numElements(); i++) {
      String name = array.isNullAt(i) ? "" : array.getUTF8String(i).toString();
      if (name.isEmpty()) {
        throw MoontideException.row(
            "column %s: the choice at %d is null or empty", column.name(), i);
      }
      names.add(name);
    }
    if (names.isEmpty() || new HashSet<>(names).size() < names.size()) {
      throw MoontideException.row(
          "column %s should hold different choices, at least one, and holds %s",
          column.name(), names);
    }
    return checkpoint.choices(names, chat);
  }

  private static ArrayData array(Column column, InternalRow row) {
    if (row.isNullAt(column.ordinal())) {
      throw MoontideException.row("column %s is null: an array is needed", column.name());
    }
    return row.getArray(column.ordinal());
  }
}
