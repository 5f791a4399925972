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

import java.util.Iterator;
import java.util.function.Function;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.vector.types.pojo.Schema;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.encoders.ExpressionEncoder;
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
 * @param source opens what the task computes with
 * @param metrics takes the counts
 */
record GenerationPartition(
    JobOptions options,
    StructType inputSchema,
    StructType outputSchema,
    Inference.Source source,
    JobMetrics metrics)
    implements MapPartitionsFunction<Row, Row> {

  @Override
  public Iterator<Row> call(Iterator<Row> rows) {
    if (!rows.hasNext()) {
      return rows; // spares an empty partition the engine
    }
    TaskContext task = TaskContext.get();
    Inference inference = source.open(options, inputSchema);
    BufferAllocator allocator =
        ArrowUtils.rootAllocator()
            .newChildAllocator("moontide task " + task.taskAttemptId(), 0, Long.MAX_VALUE);
    // Listeners run in reverse: the allocator closes last, and says so if a batch was not freed.
    task.addTaskCompletionListener((TaskCompletionListener) context -> allocator.close());
    AnswerRows answers = answerRows(rows, inference, allocator, task);
    task.addTaskCompletionListener((TaskCompletionListener) context -> answers.close());
    return answers;
  }

  private AnswerRows answerRows(
      Iterator<Row> rows, Inference inference, BufferAllocator allocator, TaskContext task) {
    ExpressionEncoder<Row> inputEncoder = ExpressionEncoder.apply(inputSchema, true);
    ExpressionEncoder<Row> outputEncoder = ExpressionEncoder.apply(outputSchema);
    ExpressionEncoder.Serializer<Row> serializer = inputEncoder.createSerializer();
    ExpressionEncoder.Deserializer<Row> deserializer =
        outputEncoder
            .resolveAndBind(
                outputEncoder.resolveAndBind$default$1(), outputEncoder.resolveAndBind$default$2())
            .createDeserializer();
    return new AnswerRows(
        new InputRows(rows, serializer::apply, arrowSchema(inputSchema), allocator),
        new OutputRows(arrowSchema(outputSchema), allocator, deserializer::apply),
        inference,
        new AnswerColumns(options.task()),
        truth(),
        metrics::add,
        task::isInterrupted);
  }

  private Function<InternalRow, @Nullable String> truth() {
    String column = options.output().truthColumn();
    return column == null ? row -> null : Column.of(inputSchema, column)::text;
  }

  /** The Arrow schema of {@code schema}; fails for a type that Arrow or Spark's writer lacks. */
  static Schema arrowSchema(StructType schema) {
    return ArrowUtils.toArrowSchema(schema, "UTC", true, false);
  }
}
