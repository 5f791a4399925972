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

import java.util.OptionalLong;
import org.apache.spark.sql.SparkSession;

/** How many rows a job will compute, where that is cheap to know. */
final class RowCount {
  /** Lines of files up to this size are counted. */
  private static final long COUNTED_BYTES = 64L << 20;

  private final SparkSession spark;
  private final StoredFiles files;

  RowCount(SparkSession spark) {
    this.spark = spark;
    this.files = new StoredFiles(spark, "--input");
  }

  /** The rows of {@code input}; empty where only reading all of it would tell. */
  OptionalLong of(InputOptions input) {
    if (input.where().isPresent()) {
      return OptionalLong.empty();
    }
    OptionalLong rows = unlimited(input);
    return rows.isPresent() && input.limit().isPresent()
        ? OptionalLong.of(Math.min(rows.getAsLong(), input.limit().get()))
        : rows;
  }

  private OptionalLong unlimited(InputOptions input) {
    String[] paths = input.paths().toArray(String[]::new);
    Format format =
        input.format().map(Format::named).orElseGet(() -> files.formatOf(input.paths()));
    return switch (format.source()) {
      // Their footers know.
      case "parquet", "orc" ->
          OptionalLong.of(spark.read().format(format.source()).load(paths).count());
      case "json", "text" ->
          files.totalBytes(input.paths()) <= COUNTED_BYTES
              ? OptionalLong.of(spark.read().text(paths).filter("value <> ''").count())
              : OptionalLong.empty();
      default -> OptionalLong.empty();
    };
  }
}
