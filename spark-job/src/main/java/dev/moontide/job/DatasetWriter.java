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

import static org.apache.spark.sql.functions.to_json;

import dev.moontide.api.MoontideException;
import java.io.UncheckedIOException;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SaveMode;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.MapType;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;

/** Writes a job's output. */
final class DatasetWriter {
  /** Spark would say so of each write, before the summary is there; {@link WorkFolder} does. */
  private static final String MARKS_SUCCESS = "mapreduce.fileoutputcommitter.marksuccessfuljobs";

  private final SparkSession spark;
  private final StoredFiles files;

  DatasetWriter(SparkSession spark) {
    this.spark = spark;
    this.files = new StoredFiles(spark, "--output");
  }

  /**
   * Fails where writing would replace what must stay.
   *
   * @param option that gives the inputs, for errors
   */
  void check(OutputTarget output, List<String> inputs, String option) {
    StoredFiles read = new StoredFiles(spark, option);
    String folder = files.qualified(output.path());
    for (String path : inputs) {
      String input = read.qualified(path);
      if (StoredFiles.contains(folder, input) || StoredFiles.contains(input, folder)) {
        throw MoontideException.configuration(
            "--output %s and %s %s lie in one another: write to another folder",
            output.path(), option, path);
      }
    }
    if (!output.overwrite() && isThere(output) && !new WorkFolder(files, output).isHalfWritten()) {
      throw MoontideException.configuration(
          "--output %s exists: add --overwrite to replace it, or name another folder",
          output.path());
    }
  }

  private boolean isThere(OutputTarget output) {
    try {
      return files.exists(output.path());
    } catch (UncheckedIOException unreachable) {
      throw new MoontideException(
          MoontideException.Category.CONFIGURATION,
          "--output %s cannot be reached: %s"
              .formatted(output.path(), Failures.message(unreachable)),
          unreachable);
    }
  }

  /** Writes {@code rows}, each of which is computed once, to {@code path}. */
  void write(Dataset<Row> rows, OutputTarget output, String path) {
    boolean csv = output.format().source().equals("csv");
    (csv ? flat(rows) : rows)
        .write()
        .mode(output.overwrite() ? SaveMode.Overwrite : SaveMode.ErrorIfExists)
        .format(output.format().source())
        .options(output.format().writeOptions())
        .options(output.options())
        .option(MARKS_SUCCESS, false)
        .save(path);
  }

  /** Writes rows that {@link #readUnordered} reads. */
  void writeUnordered(Dataset<Row> rows, WorkFolder work) {
    rows.write().parquet(work.unordered());
  }

  /**
   * The rows that {@link #writeUnordered} wrote, in the input's order. Sorting looks at the rows
   * twice, so they are computed and written before.
   */
  Dataset<Row> readUnordered(WorkFolder work) {
    return spark
        .read()
        .parquet(work.unordered())
        .orderBy(DatasetReader.POSITION)
        .drop(DatasetReader.POSITION);
  }

  /** CSV has no nested values: they are written as JSON. */
  private static Dataset<Row> flat(Dataset<Row> rows) {
    return rows.select(
        Arrays.stream(rows.schema().fields())
            .map(field -> flat(field, rows.col(DatasetReader.quoted(field.name()))))
            .toArray(Column[]::new));
  }

  private static Column flat(StructField field, Column column) {
    boolean nested =
        field.dataType() instanceof MapType
            || field.dataType() instanceof ArrayType
            || field.dataType() instanceof StructType;
    return nested ? to_json(column).as(field.name()) : column;
  }
}
