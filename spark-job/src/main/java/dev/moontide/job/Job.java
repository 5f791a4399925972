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
package dev.moontide.job;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.concat;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.substring;
import static org.apache.spark.sql.functions.when;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.moontide.api.MoontideException;
import dev.moontide.spark.JobMetrics;
import dev.moontide.spark.JobOptions;
import dev.moontide.spark.Moontide;
import dev.moontide.spark.store.ResultStore;
import java.io.IOException;
import java.util.Arrays;
import java.util.Optional;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Reads a dataset, computes every row once, writes the rows and reports. */
final class Job {
  private static final Logger LOG = LoggerFactory.getLogger(Job.class);
  private static final int SHOWN_OF_LINE = 120;

  private final SparkSession spark;
  private final String command;
  private final JobOptions options;
  private final Lineage lineage;

  Job(SparkSession spark, String command, JobOptions options, Lineage lineage) {
    this.spark = spark;
    this.command = command;
    this.options = options;
    this.lineage = lineage;
  }

  /**
   * Runs the job.
   *
   * @param limit how many rows may fail; any number if absent
   * @param progress where to show it; none is shown if absent
   * @throws MoontideException of category engine if more rows failed than may; what was computed is
   *     kept for the next run
   */
  Summary run(
      InputOptions input,
      OutputTarget output,
      Optional<ErrorLimit> limit,
      Phases phases,
      Optional<Console> progress) {
    DatasetWriter writer = new DatasetWriter(spark);
    StoredFiles files = new StoredFiles(spark);
    writer.check(output, input);
    WorkFolder work = new WorkFolder(files, output);
    Moontide moontide = Moontide.with(options).keepingResults(work.results());
    JobMetrics metrics = moontide.metrics(spark);
    Tally tally = new Tally(options);
    Dataset<Row> rows =
        phases.time("read", () -> new DatasetReader(spark).read(input, output.preserveOrder()));
    Dataset<Row> answers = tally.over(withMalformed(moontide.transform(rows)));
    ObjectNode made = lineage.toJson(spark.version());
    Optional<String> resumed = work.open(made);
    progress.ifPresent(
        console ->
            resumed.ifPresent(told -> console.err().println("moontide " + command + ": " + told)));
    phases.time(
        Summary.COMPUTE,
        () -> {
          Optional<Progress> shown = progress.map(console -> show(console, metrics, input));
          try {
            watched(limit, metrics, () -> write(writer, answers, output, work));
          } finally {
            shown.ifPresent(Progress::close);
          }
        });
    limit
        .filter(given -> given.isExceeded(metrics.finished()))
        .ifPresent(
            given -> {
              throw MoontideException.engine("%s", given.message(metrics.finished()));
            });
    phases.time("compact", () -> compact(work));
    Summary summary =
        new Summary(
            command, output.path(), tally.counts(), metrics.finished(), phases.seconds(), made);
    files.write(work.staged() + "/_moontide", "summary.json", summary.json());
    work.commit();
    return summary;
  }

  private void watched(Optional<ErrorLimit> limit, JobMetrics metrics, Runnable work) {
    limit
        .map(given -> new ErrorWatch(spark.sparkContext(), given, metrics::snapshot))
        .ifPresentOrElse(watch -> watch.over(work), work);
  }

  private static void write(
      DatasetWriter writer, Dataset<Row> answers, OutputTarget output, WorkFolder work) {
    if (output.preserveOrder()) {
      writer.writeUnordered(answers, work);
      writer.write(writer.readUnordered(work), output, work.staged());
    } else {
      writer.write(answers, output, work.staged());
    }
  }

  /** Many small files are slow to find, but no reason to fail for. */
  private void compact(WorkFolder work) {
    try {
      ResultStore.compact(work.results(), spark.sparkContext().hadoopConfiguration());
    } catch (IOException failed) {
      LOG.warn("the finished results in {} cannot be merged", work.results(), failed);
    }
  }

  private Progress show(Console console, JobMetrics metrics, InputOptions input) {
    return Progress.start(
        command, metrics, new RowCount(spark).of(input), console.err(), System.getenv());
  }

  /** Says of a malformed line that it is one, where the transform saw a row of nulls. */
  private Dataset<Row> withMalformed(Dataset<Row> answers) {
    if (!Arrays.asList(answers.columns()).contains(DatasetReader.MALFORMED)) {
      return answers;
    }
    Column line = col(DatasetReader.MALFORMED);
    String error = options.output().prefix() + "error";
    String finishReason = options.output().prefix() + "finish_reason";
    Column reason =
        concat(
            lit("the input line is malformed: \""), substring(line, 1, SHOWN_OF_LINE), lit("\""));
    return answers
        .withColumn(error, when(line.isNotNull(), reason).otherwise(answers.col(error)))
        .withColumn(
            finishReason, when(line.isNotNull(), lit("error")).otherwise(answers.col(finishReason)))
        .drop(DatasetReader.MALFORMED);
  }
}
