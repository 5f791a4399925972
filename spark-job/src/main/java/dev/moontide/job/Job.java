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

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.moontide.api.MoontideException;
import dev.moontide.spark.JobMetrics;
import dev.moontide.spark.store.ResultStore;
import java.io.IOException;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Computes rows, writes them as one whole and reports. What was finished when a run ends early is
 * kept for the next.
 */
final class Job {
  private static final Logger LOG = LoggerFactory.getLogger(Job.class);

  private final SparkSession spark;
  private final String command;
  private final Lineage lineage;

  Job(SparkSession spark, String command, Lineage lineage) {
    this.spark = spark;
    this.command = command;
    this.lineage = lineage;
  }

  /**
   * Runs the job.
   *
   * @param computation what is computed, with finished results in the folder that it is given
   * @param inputs paths that the output must not lie in
   * @param limit how many rows may fail; any number if absent
   * @param progress where to show it; none is shown if absent
   * @throws MoontideException of category engine if more rows failed than may; what was computed is
   *     kept for the next run
   */
  Summary run(
      Function<String, Computation> computation,
      List<String> inputs,
      OutputTarget output,
      Optional<ErrorLimit> limit,
      Phases phases,
      Optional<Console> progress) {
    new DatasetWriter(spark).check(output, inputs, command.equals("sql") ? "--view" : "--input");
    WorkFolder work = new WorkFolder(new StoredFiles(spark, "--output"), output);
    try {
      return run(computation, work, output, limit, phases, progress);
    } catch (Exception failed) { // SparkException is checked, but Scala does not declare it
      FullDisk.check(failed, work.staged());
      throw failed;
    }
  }

  private Summary run(
      Function<String, Computation> computation,
      WorkFolder work,
      OutputTarget output,
      Optional<ErrorLimit> limit,
      Phases phases,
      Optional<Console> progress) {
    DatasetWriter writer = new DatasetWriter(spark);
    Computation computed = computation.apply(work.results());
    JobMetrics metrics = computed.metrics();
    Dataset<Row> rows = phases.time("read", computed::rows);
    ObjectNode made = lineage.toJson(spark.version());
    Optional<String> resumed = work.open(made);
    progress.ifPresent(
        console ->
            resumed.ifPresent(told -> console.err().println("moontide " + command + ": " + told)));
    phases.time(
        Summary.COMPUTE,
        () -> {
          Optional<Progress> shown =
              progress.map(console -> Progress.start(command, computed, console.err()));
          try {
            watched(limit, metrics, () -> write(writer, rows, output, work));
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
            command, output.path(), computed.counts(), metrics.finished(), phases.seconds(), made);
    work.commit(summary.json());
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
}
