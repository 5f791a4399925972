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
import dev.moontide.spark.sql.Transforms;
import dev.moontide.spark.store.ResultFolder;
import java.util.Arrays;
import java.util.UUID;
import java.util.function.UnaryOperator;
import org.apache.spark.SparkContext;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.rdd.RDD;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.types.StructType;
import org.jspecify.annotations.Nullable;

/** The generation transform: rows in, the same rows with the model's answers out. Thread-safe. */
public final class Moontide {
  private final JobOptions options;
  private final Inference.Source source;
  private final @Nullable String results;
  private final @Nullable String malformed;
  private final String run = UUID.randomUUID().toString();
  private @Nullable JobMetrics metrics;

  private Moontide(
      JobOptions options,
      Inference.Source source,
      @Nullable String results,
      @Nullable String malformed) {
    this.options = options;
    this.source = source;
    this.results = results;
    this.malformed = malformed;
  }

  /** A transform with {@code options}; it can be applied to any number of datasets. */
  public static Moontide with(JobOptions options) {
    return with(options, new EngineSource());
  }

  /** A transform whose tasks compute with {@code source}. */
  static Moontide with(JobOptions options, Inference.Source source) {
    return new Moontide(options, source, null, null);
  }

  /**
   * The same transform, which keeps finished results in {@code folder}, on any file system Spark
   * writes, while its tasks run, and computes nothing whose result is there: a retried task,
   * another run and equal requests take it from there. What is there may be of any model and
   * options. Without a folder of its own a transform keeps them where the session's {@code
   * spark.moontide.store} says, if that is set.
   */
  public Moontide keepingResults(String folder) {
    return new Moontide(options, source, folder, malformed);
  }

  /**
   * The same transform, which fails the rows with a text in {@code column}, where there is such a
   * column: the input line that could not be read as a row, as Spark's {@code
   * columnNameOfCorruptRecord} has it. They come out with that as their error, and ask nothing.
   */
  public Moontide failingMalformed(String column) {
    return new Moontide(options, source, results, column);
  }

  public JobOptions options() {
    return options;
  }

  /**
   * Every column of {@code rows}, then the task's output columns; each row once, in completion
   * order within its partition. A streaming dataset works too.
   *
   * <p>An action computes the answers that it reads: of rows that filters and limits let pass (save
   * a limit of ordered rows), and of none where no column of the answer is read, as by {@code
   * count}. It asks for each row once, also to sort it or to pair it with others. The next action
   * computes again, and so does each use in a query: write the answers, {@code cache} them or keep
   * results. With {@code engine-resources}, and for a stream, every row is computed whatever is
   * read.
   *
   * <p>The result is for the session of {@code rows}, those cloned from it and any with {@link
   * MoontideExtensions}.
   *
   * @throws dev.moontide.api.MoontideException of category configuration for a column that is
   *     missing, of the wrong type, or there already, and for options the checkpoint cannot serve
   *     (where this driver sees its folder)
   */
  public Dataset<Row> transform(Dataset<Row> rows) {
    SparkContext context = rows.sparkSession().sparkContext();
    JobOptions onExecutors = options.onExecutorsOf(context);
    StructType schema = rows.schema();
    StructType output = Columns.withAnswer(schema, options);
    source.check(onExecutors, schema, context.isLocal());
    MapPartitionsFunction<InternalRow, Row> partition =
        new GenerationPartition(
            onExecutors,
            schema,
            output,
            malformed != null && Arrays.asList(schema.fieldNames()).contains(malformed)
                ? malformed
                : null,
            source,
            resultFolder(rows.sparkSession()),
            metrics(rows.sparkSession()));
    EngineResources resources = options.resources();
    if (resources == null && !rows.isStreaming()) {
      return Transforms.of(rows, partition, output, description());
    }
    Dataset<InternalRow> read = rows.as(InternalRows.encoder(schema));
    return resources == null
        ? read.mapPartitions(partition, Encoders.row(output))
        : inStageOfItsOwn(read, partition, output, resources::give);
  }

  /** For a plan that people read. */
  private String description() {
    return "[%s, model=%s]".formatted(OptionMap.nameOf(options.task()), options.model().location());
  }

  /**
   * Computes {@code rows} in a stage between one that reads them and one that reads the answers,
   * each behind a shuffle, as Spark gives resources to whole stages.
   *
   * @param give says on which executors that stage runs
   */
  static Dataset<Row> inStageOfItsOwn(
      Dataset<InternalRow> rows,
      MapPartitionsFunction<InternalRow, Row> partition,
      StructType output,
      UnaryOperator<RDD<Row>> give) {
    if (rows.isStreaming()) {
      throw MoontideException.configuration(
          "engine-resources are given for a stream, whose batches Spark plans alone: leave them"
              + " out, and start the application with executors that can compute");
    }
    // A shuffle keeps rows for a while, and these are valid until the next.
    JavaRDD<InternalRow> read = rows.javaRDD().map(InternalRow::copy);
    int partitions = Math.max(1, read.getNumPartitions());
    JavaRDD<Row> computed = read.repartition(partitions).mapPartitions(partition::call);
    return rows.sparkSession()
        .createDataFrame(give.apply(computed.rdd()), output)
        .repartition(partitions);
  }

  private @Nullable ResultFolder resultFolder(SparkSession session) {
    return results == null
        ? SessionStore.of(session).map(named -> SessionStore.open(named, session)).orElse(null)
        : ResultFolder.of(results, run, session.sparkContext().hadoopConfiguration());
  }

  /** What this transform's tasks have counted, in all datasets of {@code session}'s context. */
  public synchronized JobMetrics metrics(SparkSession session) {
    if (metrics == null || !metrics.isOf(session.sparkContext())) {
      metrics = new JobMetrics(session.sparkContext());
    }
    return metrics;
  }
}
