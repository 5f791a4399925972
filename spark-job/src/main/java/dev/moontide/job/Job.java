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

import dev.moontide.spark.JobMetrics;
import dev.moontide.spark.JobOptions;
import dev.moontide.spark.Moontide;
import java.util.Arrays;
import java.util.Optional;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;

/** Reads a dataset, computes every row once, writes the rows and reports. */
final class Job {
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
   * @param progress where to show it; none is shown if absent
   */
  Summary run(InputOptions input, OutputTarget output, Phases phases, Optional<Console> progress) {
    DatasetWriter writer = new DatasetWriter(spark);
    writer.check(output, input);
    Moontide moontide = Moontide.with(options);
    JobMetrics metrics = moontide.metrics(spark);
    Tally tally = new Tally(options);
    Dataset<Row> rows = phases.time("read", () -> new DatasetReader(spark).read(input));
    Dataset<Row> answers = tally.over(withMalformed(moontide.transform(rows)));
    phases.time(
        Summary.COMPUTE,
        () -> {
          Optional<Progress> shown = progress.map(console -> show(console, metrics, input));
          try {
            writer.write(answers, output);
          } finally {
            shown.ifPresent(Progress::close);
          }
        });
    Summary summary =
        new Summary(
            command,
            output.path(),
            tally.counts(),
            metrics.snapshot(),
            phases.seconds(),
            lineage.toJson(spark.version()));
    new StoredFiles(spark).write(output.path() + "/_moontide", "summary.json", summary.json());
    return summary;
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
