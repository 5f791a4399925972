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

import dev.moontide.api.GenerationRequest;
import java.util.Arrays;
import java.util.List;
import java.util.function.BiConsumer;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow;
import org.apache.spark.sql.catalyst.expressions.UnsafeRow;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.StructType;
import org.jspecify.annotations.Nullable;

/** A call as a task evaluates it: what it asks about a row, and what it reads of the answer. */
final class CallEvaluation {
  private final CallRows.Arguments arguments;
  private final CallQuestions questions;
  private final boolean isStruct;
  private final int[] ordinals;
  private final DataType[] types;

  CallEvaluation(ModelCall call, CallRows.Arguments arguments, CallQuestions questions) {
    this.arguments = arguments;
    this.questions = questions;
    isStruct = call.function() == ModelCall.Function.AI_QUERY;
    StructType schema = AnswerColumns.schema(call.options().task(), "");
    ordinals = names(call).stream().mapToInt(schema::fieldIndex).toArray();
    types =
        Arrays.stream(ordinals).mapToObj(i -> schema.apply(i).dataType()).toArray(DataType[]::new);
  }

  private static List<String> names(ModelCall call) {
    return switch (call.function()) {
      case AI_GEN -> List.of("response");
      case AI_CLASSIFY -> List.of("label");
      case AI_SCORE -> List.of("logprob");
      case AI_QUERY -> List.of(((StructType) call.type()).fieldNames());
    };
  }

  /** Asks about {@code row}; see {@link CallQuestions#ask}. */
  CallAnswer ask(
      InternalRow row, long id, Tally tally, BiConsumer<GenerationRequest, CallAnswer> engine) {
    UnsafeRow values = arguments.of(row);
    return values == null || values.anyNull()
        ? CallAnswer.NONE
        : questions.ask(values, id, tally, engine);
  }

  CallQuestions questions() {
    return questions;
  }

  /** The call's value, as Catalyst has it. */
  @Nullable Object value(CallAnswer answer) {
    InternalRow columns = answer.columns();
    if (columns == null) {
      return null;
    }
    if (!isStruct) {
      return value(columns, 0);
    }
    @Nullable Object[] fields = new Object[ordinals.length];
    for (int i = 0; i < fields.length; i++) {
      fields[i] = value(columns, i);
    }
    return new GenericInternalRow(fields);
  }

  private @Nullable Object value(InternalRow columns, int i) {
    return columns.isNullAt(ordinals[i]) ? null : columns.get(ordinals[i], types[i]);
  }
}
