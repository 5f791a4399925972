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

import dev.moontide.spark.JobMetrics;
import dev.moontide.spark.JobOptions;
import dev.moontide.spark.Moontide;
import java.util.OptionalLong;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;

/**
 * Every row of the input with its answer: what {@code label}, {@code generate}, {@code score} do.
 */
final class TransformComputation implements Computation {
  private final SparkSession spark;
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
    this.moontide =
        Moontide.with(options).keepingResults(results).failingMalformed(DatasetReader.MALFORMED);
    this.input = input;
    this.withPosition = withPosition;
    this.tally = new Tally(options);
  }

  @Override
  public Dataset<Row> rows() {
    Dataset<Row> rows = new DatasetReader(spark).read(input, withPosition);
    return tally.over(moontide.transform(rows).drop(DatasetReader.MALFORMED));
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
}
