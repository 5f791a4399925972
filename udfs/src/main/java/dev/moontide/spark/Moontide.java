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

import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;

/** The generation transform: rows in, the same rows with the model's answers out. */
public final class Moontide {
  private final JobOptions options;

  private Moontide(JobOptions options) {
    this.options = options;
  }

  /** A transform with {@code options}; it can be applied to any number of datasets. */
  public static Moontide with(JobOptions options) {
    return new Moontide(options);
  }

  public JobOptions options() {
    return options;
  }

  /**
   * Every column of {@code rows}, then the task's output columns; each row once, in completion
   * order within its partition. A streaming dataset works too.
   *
   * @throws dev.moontide.api.MoontideException of category configuration for a column that is
   *     missing, of the wrong type, or there already
   */
  public Dataset<Row> transform(Dataset<Row> rows) {
    throw new IllegalStateException("skeleton");
  }

  /** What this transform's tasks have counted, in all datasets it was applied to. */
  public JobMetrics metrics(SparkSession session) {
    throw new IllegalStateException("skeleton");
  }
}
