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
import dev.moontide.api.GenerationResult;
import dev.moontide.api.MoontideException;
import dev.moontide.api.Objective;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.BiConsumer;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow;
import org.apache.spark.sql.catalyst.expressions.UnsafeRow;
import org.apache.spark.sql.types.StructType;
import org.jspecify.annotations.Nullable;

/**
 * What is asked of the model with the same options. Equal arguments have equal answers, since a
 * sample's random numbers are keyed by its prompt: those asked lately are kept and not asked again.
 * For one thread.
 */
final class CallQuestions {
  /** Answers kept, and bytes of their arguments; those longest unused go first. */
  private static final int KEPT = 16_384;

  private static final long KEPT_BYTES = 16 << 20;

  private final Inference.Prompter prompter;
  private final AnswerColumns columns;
  private final StructType schema;
  private final Map<UnsafeRow, CallAnswer> known = new LinkedHashMap<>(16, 0.75f, true);
  private long knownBytes;

  CallQuestions(JobOptions options, Inference.Prompter prompter) {
    this.prompter = prompter;
    columns = new AnswerColumns(options.task());
    schema = AnswerColumns.schema(options.task(), "");
  }

  /**
   * The answer to {@code arguments}, which may be one to wait for.
   *
   * @param id of the request, if it takes a new one
   * @param engine takes that
   */
  CallAnswer ask(
      UnsafeRow arguments, long id, Tally tally, BiConsumer<GenerationRequest, CallAnswer> engine) {
    CallAnswer answer = known.get(arguments);
    if (answer != null) {
      return answer;
    }
    answer = new CallAnswer();
    keep(arguments.copy(), answer);
    long start = System.nanoTime();
    try {
      GenerationRequest request = prompter.request(id, arguments);
      if (request.objective() instanceof Objective.Choose choose) {
        answer.chooseFrom(choose.choices());
      }
      tally.addPromptNanos(System.nanoTime() - start);
      engine.accept(request, answer);
    } catch (MoontideException e) {
      if (e.category() != MoontideException.Category.ROW) {
        throw e;
      }
      tally.addPromptNanos(System.nanoTime() - start);
      columns.fillError(String.valueOf(e.getMessage()));
      answer.done(counted(tally));
    }
    return answer;
  }

  private void keep(UnsafeRow arguments, CallAnswer answer) {
    known.put(arguments, answer);
    knownBytes += arguments.getSizeInBytes();
    Iterator<UnsafeRow> eldest = known.keySet().iterator();
    while (known.size() > KEPT || knownBytes > KEPT_BYTES) {
      knownBytes -= eldest.next().getSizeInBytes();
      eldest.remove();
    }
  }

  /** Gives {@code answer} what the engine says. */
  void answer(CallAnswer answer, GenerationResult result, Tally tally) {
    tally.countCached(result);
    columns.fill(result, answer.choices(), 0); // no function's answer has cached_tokens
    answer.done(counted(tally));
  }

  private InternalRow counted(Tally tally) {
    tally.count(columns, null);
    InternalRow row = columns.row();
    @Nullable Object[] values = new Object[schema.size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = row.isNullAt(i) ? null : row.get(i, schema.apply(i).dataType());
    }
    return new GenericInternalRow(values);
  }
}
