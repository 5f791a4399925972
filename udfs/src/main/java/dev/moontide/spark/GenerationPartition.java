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

import dev.moontide.spark.store.ResultFolder;
import dev.moontide.spark.store.TaskResults;
import java.util.Collections;
import java.util.Iterator;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.util.ArrowUtils;
import org.apache.spark.util.TaskCompletionListener;
import org.jspecify.annotations.Nullable;

/**
 * What a task does with its partition.
 *
 * @param options the job's
 * @param inputSchema the columns of the rows
 * @param outputSchema those and the answer's
 * @param malformed column of malformed input lines; null if none are told
 * @param source opens what the task computes with
 * @param folder where finished results are kept; null keeps none
 * @param metrics takes the counts
 */
record GenerationPartition(
    JobOptions options,
    StructType inputSchema,
    StructType outputSchema,
    @Nullable String malformed,
    Inference.Source source,
    @Nullable ResultFolder folder,
    JobMetrics metrics)
    implements MapPartitionsFunction<InternalRow, Row> {

  @Override
  public Iterator<Row> call(Iterator<InternalRow> rows) {
    if (!rows.hasNext()) {
      return Collections.emptyIterator(); // spares an empty partition the engine
    }
    TaskContext task = TaskContext.get();
    task.addTaskFailureListener(new LostDevice());
    Inference inference = open();
    BufferAllocator allocator =
        ArrowUtils.rootAllocator()
            .newChildAllocator("moontide task " + task.taskAttemptId(), 0, Long.MAX_VALUE);
    // Listeners run in reverse: the allocator closes last, and says so if a batch was not freed.
    task.addTaskCompletionListener((TaskCompletionListener) context -> allocator.close());
    TaskResults results = folder == null ? null : folder.open(source.keys(options));
    String truth = options.output().truthColumn();
    AnswerRows answers =
        new AnswerRows(
            new InputRows(rows, inputSchema, allocator),
            OutputRows.of(outputSchema, allocator),
            inference,
            results,
            new AnswerColumns(options.task()),
            truth == null ? null : Column.of(inputSchema, truth),
            metrics::add,
            task::isInterrupted);
    task.addTaskCompletionListener((TaskCompletionListener) context -> answers.close());
    return answers;
  }

  private Inference open() {
    Inference all = source.open(options, inputSchema);
    return malformed == null
        ? all
        : new Inference(
            new WellFormedRows(Column.of(inputSchema, malformed), all.prompter()), all.engine());
  }
}
