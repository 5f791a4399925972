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
import java.util.OptionalLong;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;

/** What a job computes, and how that is counted. */
interface Computation {
  /** The rows to write, each computed once. Nothing is computed before they are written. */
  Dataset<Row> rows();

  /** What its tasks have counted. */
  JobMetrics metrics();

  /** What is counted in {@link #metrics}, for people: "rows". */
  String unit();

  /** How many of these there are, if that is cheap to know. */
  OptionalLong total();

  /** The counts, once {@link #rows} are written. */
  Tally.Counts counts();
}
