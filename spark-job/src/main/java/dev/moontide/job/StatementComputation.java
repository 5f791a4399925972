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

import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.lit;

import dev.moontide.api.MoontideException;
import dev.moontide.spark.JobMetrics;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.function.Supplier;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Observation;
import org.apache.spark.sql.Row;

/** The rows of an SQL statement: what is asked of the model is what its calls ask. */
final class StatementComputation implements Computation {
  private final Supplier<Dataset<Row>> statement;
  private final JobMetrics metrics;
  private final Observation observation = new Observation();

  /**
   * @param statement runs it, as far as that is done before its rows are read
   * @param metrics of its session's calls
   */
  StatementComputation(Supplier<Dataset<Row>> statement, JobMetrics metrics) {
    this.statement = statement;
    this.metrics = metrics;
  }

  @Override
  public Dataset<Row> rows() {
    Dataset<Row> rows = statement.get();
    if (rows.columns().length == 0) {
      throw MoontideException.configuration(
          "the statement has no rows to write: leave out --output, or SELECT some");
    }
    return rows.observe(observation, count(lit(1)).as("rows"));
  }

  @Override
  public JobMetrics metrics() {
    return metrics;
  }

  @Override
  public String unit() {
    return "prompts";
  }

  @Override
  public OptionalLong total() {
    return OptionalLong.empty();
  }

  @Override
  public Tally.Counts counts() {
    JobMetrics.Snapshot asked = metrics.finished();
    return new Tally.Counts(
        Tally.number(Tally.observed(observation), "rows"),
        Optional.of(asked.rows()),
        asked.errors(),
        asked.promptTokens(),
        asked.cachedTokens(),
        asked.completionTokens(),
        Map.copyOf(asked.reasons()),
        Optional.empty(),
        Optional.empty(),
        Optional.empty());
  }
}
