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
import dev.moontide.engine.ResultStream;
import dev.moontide.spark.store.TaskResults;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.function.Function;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.types.StructType;
import org.jspecify.annotations.Nullable;

/** A partition run by itself, outside of Spark; closing it fails if a batch was not freed. */
final class Partition implements AutoCloseable {
  final BufferAllocator allocator = new RootAllocator();
  final AnswerRows answers;
  final StructType schema;
  JobMetrics.Snapshot counts = JobMetrics.Snapshot.ZERO;
  boolean killed;

  Partition(
      JobOptions options,
      StructType input,
      Iterator<Row> rows,
      Inference.Prompter prompter,
      Function<Iterator<GenerationRequest>, ResultStream> engine) {
    this(options, input, rows, prompter, engine, null);
  }

  /**
   * @param results the finished results it shares
   */
  Partition(
      JobOptions options,
      StructType input,
      Iterator<Row> rows,
      Inference.Prompter prompter,
      Function<Iterator<GenerationRequest>, ResultStream> engine,
      @Nullable TaskResults results) {
    schema = Columns.withAnswer(input, options);
    String truth = options.output().truthColumn();
    answers =
        new AnswerRows(
            new InputRows(ArrowRow.internal(input, rows), input, allocator),
            OutputRows.of(schema, allocator),
            new Inference(prompter, engine),
            results,
            new AnswerColumns(options.task()),
            truth == null ? null : Column.of(input, truth),
            added -> counts = counts.plus(added),
            () -> killed);
  }

  /** Every row that is left. */
  List<Row> rest() {
    List<Row> rows = new ArrayList<>();
    answers.forEachRemaining(rows::add);
    return rows;
  }

  @Override
  public void close() {
    try (allocator) {
      answers.close();
    }
  }
}
