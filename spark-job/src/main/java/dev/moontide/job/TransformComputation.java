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
import java.util.OptionalLong;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;

/**
 * Every row of the input with its answer: what {@code label}, {@code generate}, {@code score} do.
 */
final class TransformComputation implements Computation {
  private static final int SHOWN_OF_LINE = 120;

  private final SparkSession spark;
  private final JobOptions options;
  private final Moontide moontide;
  private final InputOptions input;
  private final boolean withPosition;
  private final Tally tally;

  /**
   * @param results folder of finished results
   * @param withPosition whether to add {@link DatasetReader#POSITION}
   */
  TransformComputation(
      SparkSession spark,
      JobOptions options,
      InputOptions input,
      boolean withPosition,
      String results) {
    this.spark = spark;
    this.options = options;
    this.moontide = Moontide.with(options).keepingResults(results);
    this.input = input;
    this.withPosition = withPosition;
    this.tally = new Tally(options);
  }

  @Override
  public Dataset<Row> rows() {
    Dataset<Row> rows = new DatasetReader(spark).read(input, withPosition);
    return tally.over(withMalformed(moontide.transform(rows)));
  }

  @Override
  public JobMetrics metrics() {
    return moontide.metrics(spark);
  }

  @Override
  public String unit() {
    return "rows";
  }

  @Override
  public OptionalLong total() {
    return new RowCount(spark).of(input);
  }

  @Override
  public Tally.Counts counts() {
    return tally.counts();
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
