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
import dev.moontide.api.FinishReason;
import dev.moontide.api.GenerationResult;
import dev.moontide.api.Outcome;
import dev.moontide.spark.JobOptions.Task;
import java.util.Arrays;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow;
import org.apache.spark.sql.catalyst.util.ArrayBasedMapData;
import org.apache.spark.sql.catalyst.util.GenericArrayData;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.unsafe.types.UTF8String;
import org.jspecify.annotations.Nullable;

/**
 * The output columns of a task and what stands in them.
 *
 * <p>A row that never reached the engine has null counts; so have the answer's columns of any error
 * row. The perplexity of a prompt of one token, of which nothing can be scored, is null. For one
 * thread.
 */
final class AnswerColumns {
  private static final int RESPONSE = 0;
  private static final int FINISH_REASON = 1;
  private static final int ERROR = 2;
  private static final int PROMPT_TOKENS = 3;
  private static final int CACHED_TOKENS = 4;
  private static final int COMPLETION_TOKENS = 5;
  private static final int SHARED = 6;

  // After the columns every task has:
  private static final int LABEL = SHARED;
  private static final int LABEL_PROBABILITY = SHARED + 1;
  private static final int LABEL_PROBABILITIES = SHARED + 2;
  private static final int TOKEN_LOGPROBS = SHARED;
  private static final int LOGPROB = SHARED + 1;
  private static final int PERPLEXITY = SHARED + 2;

  private static final UTF8String STOP = UTF8String.fromString(FinishReason.STOP.columnValue());
  private static final UTF8String LENGTH = UTF8String.fromString(FinishReason.LENGTH.columnValue());
  private static final UTF8String FAILED = UTF8String.fromString(FinishReason.ERROR.columnValue());

  private final Task task;
  private final @Nullable Object[] values;
  private final InternalRow row;

  /** The names of the choices of the last row, which are often the next row's too. */
  private @Nullable ChoiceSet namedChoices;

  private UTF8String[] names = {};

  AnswerColumns(Task task) {
    this.task = task;
    values = new Object[schema(task, "").size()];
    row = new GenericInternalRow(values);
  }

  /** The columns of {@code task}, each name after {@code prefix}. */
  static StructType schema(Task task, String prefix) {
    StructType shared =
        new StructType()
            .add(prefix + "response", DataTypes.StringType)
            .add(prefix + "finish_reason", DataTypes.StringType)
            .add(prefix + "error", DataTypes.StringType)
            .add(prefix + "prompt_tokens", DataTypes.IntegerType)
            .add(prefix + "cached_tokens", DataTypes.IntegerType)
            .add(prefix + "completion_tokens", DataTypes.IntegerType);
    return switch (task) {
      case GENERATE -> shared;
      case LABEL ->
          shared
              .add(prefix + "label", DataTypes.StringType)
              .add(prefix + "label_probability", DataTypes.DoubleType)
              .add(
                  prefix + "label_probabilities",
                  DataTypes.createMapType(DataTypes.StringType, DataTypes.DoubleType, false));
      case SCORE ->
          shared
              .add(prefix + "token_logprobs", DataTypes.createArrayType(DataTypes.FloatType, false))
              .add(prefix + "logprob", DataTypes.DoubleType)
              .add(prefix + "perplexity", DataTypes.DoubleType);
    };
  }

  /** The columns as last filled: a view that the next filling changes. */
  InternalRow row() {
    return row;
  }

  /** Why the row is an error row; null if it is none. */
  @Nullable String error() {
    return values[ERROR] == null ? null : values[ERROR].toString();
  }

  int promptTokens() {
    return count(PROMPT_TOKENS);
  }

  int completionTokens() {
    return count(COMPLETION_TOKENS);
  }

  private int count(int column) {
    return values[column] instanceof Integer count ? count : 0;
  }

  /** The label; null for an error row and for tasks without labels. */
  @Nullable String label() {
    return task == Task.LABEL && values[LABEL] != null ? values[LABEL].toString() : null;
  }

  /** About how long the filled columns are. */
  long bytes() {
    long bytes = 8L * values.length;
    for (Object value : values) {
      if (value instanceof UTF8String text) {
        bytes += text.numBytes();
      } else if (value instanceof GenericArrayData array) {
        bytes += 4L * array.numElements();
      } else if (value instanceof ArrayBasedMapData map) {
        bytes += 24L * map.numElements();
      }
    }
    return bytes;
  }

  /** Fills the columns of a row that cannot be computed. */
  void fillError(String message) {
    Arrays.fill(values, null);
    values[FINISH_REASON] = FAILED;
    values[ERROR] = UTF8String.fromString(message);
  }

  /**
   * Fills the columns from the engine's answer.
   *
   * @param choices what the row was to choose from, if it was
   * @param cachedTokens see {@link Inference.Prompter#cachedTokens}; what was in fact cached
   *     differs from run to run
   */
  void fill(GenerationResult result, @Nullable ChoiceSet choices, int cachedTokens) {
    if (result.outcome() instanceof Outcome.Failure failure) {
      fillError(failure.message());
    } else {
      Arrays.fill(values, null);
      values[FINISH_REASON] = STOP;
      values[COMPLETION_TOKENS] = 0;
    }
    values[PROMPT_TOKENS] = result.promptTokens();
    values[CACHED_TOKENS] = cachedTokens;
    if (result.outcome() instanceof Outcome.Completion completion) {
      values[RESPONSE] = UTF8String.fromString(completion.text());
      values[FINISH_REASON] = completion.finishReason() == FinishReason.LENGTH ? LENGTH : STOP;
      values[COMPLETION_TOKENS] = completion.completionTokens();
    } else if (result.outcome() instanceof Outcome.Scores scores) {
      fillScores(scores);
    } else if (result.outcome() instanceof Outcome.Choice choice) {
      if (choices == null) {
        throw new IllegalStateException("row " + result.id() + " chose from no choices");
      }
      fillChoice(choice, choices);
    }
  }

  private void fillScores(Outcome.Scores scores) {
    float[] logprobs = scores.tokenLogprobs().toArray();
    double sum = 0;
    for (float logprob : logprobs) {
      sum += logprob;
    }
    values[TOKEN_LOGPROBS] = new GenericArrayData(logprobs);
    values[LOGPROB] = sum;
    values[PERPLEXITY] = logprobs.length == 0 ? null : Math.exp(-sum / logprobs.length);
  }

  @SuppressWarnings(
      "ReferenceEquality") // rows share a set by identity; comparing 150 names would cost
  private void fillChoice(Outcome.Choice choice, ChoiceSet choices) {
    if (choices != namedChoices) {
      names = choices.names().stream().map(UTF8String::fromString).toArray(UTF8String[]::new);
      namedChoices = choices;
    }
    values[RESPONSE] = names[choice.best()];
    values[COMPLETION_TOKENS] = choice.completionTokens();
    if (task == Task.LABEL) {
      values[LABEL] = names[choice.best()];
      values[LABEL_PROBABILITY] = choice.probabilities().get(choice.best());
      values[LABEL_PROBABILITIES] =
          new ArrayBasedMapData(
              new GenericArrayData(names), new GenericArrayData(choice.probabilities().toArray()));
    }
  }
}
