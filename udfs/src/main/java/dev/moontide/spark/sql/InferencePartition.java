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
package dev.moontide.spark.sql;

import dev.moontide.spark.CallRows;
import dev.moontide.spark.Inference;
import dev.moontide.spark.LostDevice;
import dev.moontide.spark.ModelCall;
import dev.moontide.spark.store.ResultFolder;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.function.FlatMapFunction;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.Attribute;
import org.apache.spark.sql.catalyst.expressions.BasePredicate;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.Predicate;
import org.apache.spark.sql.catalyst.expressions.UnsafeProjection;
import org.apache.spark.util.TaskCompletionListener;
import org.jspecify.annotations.Nullable;
import scala.collection.immutable.Seq;

/**
 * What a task of {@link InferenceExec} does with its partition.
 *
 * @param calls of type {@link AiCall}
 * @param input attributes of its rows
 * @param output those and the answers'
 * @param source opens the engine
 * @param store where finished results are kept; null keeps none
 * @param metrics takes the counts
 */
record InferencePartition(
    Seq<Expression> calls,
    Seq<Attribute> input,
    Seq<Attribute> output,
    Inference.Source source,
    @Nullable ResultFolder store,
    InferenceMetrics metrics)
    implements FlatMapFunction<Iterator<InternalRow>, InternalRow> {

  @Override
  public Iterator<InternalRow> call(Iterator<InternalRow> rows) {
    if (!rows.hasNext()) {
      return Collections.emptyIterator(); // spares an empty partition the engine
    }
    TaskContext task = TaskContext.get();
    task.addTaskFailureListener(new LostDevice());
    List<CallRows.Arguments> arguments = new ArrayList<>();
    for (Expression call : ScalaLists.list(calls)) {
      arguments.add(arguments((AiCall) call, task.partitionId()));
    }
    UnsafeProjection copy = projection(input, task.partitionId());
    List<ModelCall> models = InferencePlan.models(calls);
    CallRows answers =
        CallRows.open(
            new Unsafe(rows, copy),
            models,
            arguments,
            source,
            store == null ? null : store.open(source.keys(models.get(0).options())),
            metrics::add,
            task::isInterrupted);
    task.addTaskCompletionListener((TaskCompletionListener) context -> answers.close());
    UnsafeProjection out = UnsafeProjection.create(attributes(output), output);
    out.initialize(task.partitionId());
    return new Iterator<>() {
      @Override
      public boolean hasNext() {
        return answers.hasNext();
      }

      @Override
      public InternalRow next() {
        InternalRow row = out.apply(answers.next());
        metrics.addRow();
        return row;
      }
    };
  }

  private UnsafeProjection projection(Seq<Attribute> attributes, int partition) {
    UnsafeProjection projection = UnsafeProjection.create(attributes(attributes), input);
    projection.initialize(partition);
    return projection;
  }

  private static Seq<Expression> attributes(Seq<Attribute> attributes) {
    return ScalaLists.seq(ScalaLists.list(attributes));
  }

  private CallRows.Arguments arguments(AiCall call, int partition) {
    UnsafeProjection values = UnsafeProjection.create(call.arguments(), input);
    values.initialize(partition);
    if (call.guard().isEmpty()) {
      return values::apply;
    }
    BasePredicate guard = Predicate.create(call.guard().get(), input);
    guard.initialize(partition);
    return row -> guard.eval(row) ? values.apply(row) : null;
  }

  /** Rows of any kind as unsafe ones, each valid until the next. */
  private record Unsafe(Iterator<InternalRow> rows, UnsafeProjection projection)
      implements Iterator<InternalRow> {
    @Override
    public boolean hasNext() {
      return rows.hasNext();
    }

    @Override
    public InternalRow next() {
      return projection.apply(rows.next());
    }
  }
}
