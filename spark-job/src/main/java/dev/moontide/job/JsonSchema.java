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

import java.util.Collections;
import java.util.List;
import java.util.Optional;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;

/**
 * The schema of large files of JSON lines. Spark infers one by making a type of every line and
 * merging them all, which takes longer than reading the rows. Here it does so for the first lines
 * alone, and the others are checked to add nothing to it ({@link JsonLines}): then Spark would have
 * inferred the same.
 */
final class JsonSchema {
  /** Bytes from which on it pays: less is inferred within a second. */
  static final long MIN_BYTES = 16 << 20;

  private static final int FIRST_LINES = 1000;

  private JsonSchema() {}

  /** The schema Spark infers; empty where Spark has to look at every line itself. */
  static Optional<StructType> of(SparkSession spark, String[] paths, long minBytes) {
    Dataset<String> lines = spark.read().textFile(paths);
    if (lines.queryExecution().optimizedPlan().stats().sizeInBytes().longValue() < minBytes) {
      return Optional.empty();
    }
    List<String> first = lines.takeAsList(FIRST_LINES);
    StructType schema = spark.read().json(spark.createDataset(first, Encoders.STRING())).schema();
    return lines.mapPartitions(firstMisfit(schema), Encoders.BOOLEAN()).count() == 0
        ? Optional.of(schema)
        : Optional.empty();
  }

  /** Gives one value for a partition with a line that adds to {@code schema}, or none. */
  private static MapPartitionsFunction<String, Boolean> firstMisfit(StructType schema) {
    return lines -> {
      JsonLines known = new JsonLines(schema);
      while (lines.hasNext()) {
        if (!known.fits(lines.next())) {
          return List.of(true).iterator();
        }
      }
      return Collections.emptyIterator();
    };
  }
}
