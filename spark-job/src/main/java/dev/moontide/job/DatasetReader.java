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
import static org.apache.spark.sql.functions.monotonically_increasing_id;
import static org.apache.spark.sql.functions.raise_error;
import static org.apache.spark.sql.functions.struct;
import static org.apache.spark.sql.functions.substring;
import static org.apache.spark.sql.functions.when;

import dev.moontide.api.MoontideException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Spliterators;
import java.util.stream.StreamSupport;
import org.apache.spark.SparkClassNotFoundException;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.AnalysisException;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.DataFrameReader;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;

/** Reads a job's input. */
final class DatasetReader {
  /**
   * Column that holds a line that is malformed, null for the others; absent where a format has no
   * such lines. A malformed row's other columns are null.
   */
  static final String MALFORMED = "_moontide_malformed";

  /**
   * Column that sorts rows as they stand in the input: by their files' names, and as Spark reads a
   * file; absent where no order is asked for.
   */
  static final String POSITION = "_moontide_position";

  private static final String READ_AT = "_moontide_read_at";
  private static final int SHOWN_OF_LINE = 120;

  private final SparkSession spark;
  private final String option;
  private final StoredFiles files;

  DatasetReader(SparkSession spark) {
    this(spark, "--input");
  }

  /**
   * @param option that gives the paths, for errors
   */
  DatasetReader(SparkSession spark, String option) {
    this.spark = spark;
    this.option = option;
    this.files = new StoredFiles(spark, option);
  }

  /**
   * The rows to compute, in the partitions to compute them in.
   *
   * @param withPosition whether to add {@link #POSITION}
   */
  Dataset<Row> read(InputOptions input, boolean withPosition) {
    Format format =
        input.format().map(Format::named).orElseGet(() -> files.formatOf(input.paths()));
    Dataset<Row> rows = load(input, format);
    if (withPosition) {
      rows = rows.withColumn(POSITION, position(format));
    }
    if (input.where().isPresent()) {
      rows = filter(rows, input.where().get());
    }
    if (input.limit().isPresent()) {
      rows = first(rows, input.limit().get());
    }
    return partition(rows, input);
  }

  /**
   * The first rows as Spark reads them, the same ones each time: Spark's own limit takes what its
   * shuffle fetches first. Each task reads no more than {@code count} rows.
   */
  private static Dataset<Row> first(Dataset<Row> rows, int count) {
    MapPartitionsFunction<Row, Row> head =
        partition ->
            StreamSupport.stream(Spliterators.spliteratorUnknownSize(partition, 0), false)
                .limit(count)
                .iterator();
    return rows.mapPartitions(head, rows.encoder())
        .withColumn(READ_AT, monotonically_increasing_id())
        .repartition(1)
        .sortWithinPartitions(READ_AT)
        .limit(count)
        .drop(READ_AT);
  }

  /** The rows of an input that fails whoever reads a malformed line of it. */
  Dataset<Row> readWellFormed(InputOptions input) {
    Dataset<Row> rows = read(input, false);
    List<String> columns = new ArrayList<>(Arrays.asList(rows.columns()));
    if (!columns.remove(MALFORMED)) {
      return rows;
    }
    Column refusal =
        raise_error(
            concat(
                lit(
                    String.join(" ", input.paths())
                        + " has a malformed line: mend it, or leave"
                        + " such lines out with --input-option mode=DROPMALFORMED; it is \""),
                substring(col(MALFORMED), 1, SHOWN_OF_LINE),
                lit("\"")));
    return rows.select(
        columns.stream()
            .map(
                name ->
                    when(col(MALFORMED).isNull(), col(quoted(name))).otherwise(refusal).as(name))
            .toArray(Column[]::new));
  }

  private static Column position(Format format) {
    Column read = monotonically_increasing_id().as("row");
    return format.isFiles()
        ? struct(
            col("_metadata.file_path").as("file"),
            col("_metadata.file_block_start").as("start"),
            read)
        : struct(read);
  }

  private Dataset<Row> load(InputOptions input, Format format) {
    String[] paths = input.paths().toArray(String[]::new);
    if (format.isFiles()) {
      input.paths().forEach(files::require);
    }
    try {
      DataFrameReader reader = reader(input, format);
      if (format.equals(Format.JSONL) && input.options().isEmpty()) {
        JsonSchema.of(spark, paths, JsonSchema.MIN_BYTES).ifPresent(reader::schema);
      }
      Dataset<Row> rows = load(reader, paths);
      return switch (format.source()) {
        case "text" -> rows.withColumnRenamed("value", "text");
        case "csv" ->
            emptyWhereMalformed(
                load(
                    reader(input, format)
                        .schema(rows.schema().add(MALFORMED, DataTypes.StringType)),
                    paths));
        default -> emptyWhereMalformed(rows);
      };
    } catch (Exception invalid) {
      if (Failures.causes(invalid).stream()
          .anyMatch(SparkClassNotFoundException.class::isInstance)) {
        throw Values.invalid(
            "input-format",
            format.source(),
            "jsonl, csv, parquet, text, orc or a Spark source whose jar is there (--packages)");
      }
      String given = String.join(" ", input.paths());
      throw MoontideException.configuration(
          "%s cannot be read as %s: %s",
          given.isEmpty() ? "the input" : option + " " + given,
          format.source(),
          Failures.message(invalid));
    }
  }

  /** One path goes by its own method: sources that are no files take it for a table's name. */
  private static Dataset<Row> load(DataFrameReader reader, String[] paths) {
    return switch (paths.length) {
      case 0 -> reader.load();
      case 1 -> reader.load(paths[0]);
      default -> reader.load(paths);
    };
  }

  private DataFrameReader reader(InputOptions input, Format format) {
    DataFrameReader reader = spark.read().format(format.source());
    if (format.isFiles()) {
      reader.option("columnNameOfCorruptRecord", MALFORMED);
    }
    return reader.options(format.readOptions()).options(input.options());
  }

  /** Spark fills in what it understood of a malformed line; half a row is not computed. */
  private static Dataset<Row> emptyWhereMalformed(Dataset<Row> rows) {
    List<String> columns = Arrays.asList(rows.columns());
    if (!columns.contains(MALFORMED)) {
      return rows;
    }
    if (columns.size() == 1) {
      throw MoontideException.configuration(
          "no line is a JSON object; give its --input-format if it is something else");
    }
    Column wellFormed = col(MALFORMED).isNull();
    return rows.select(
        Arrays.stream(rows.columns())
            .map(
                name ->
                    name.equals(MALFORMED)
                        ? col(name)
                        : when(wellFormed, rows.col(quoted(name))).as(name))
            .toArray(Column[]::new));
  }

  /** A column's name as an identifier: a dot in it is part of the name. */
  static String quoted(String name) {
    return "`" + name.replace("`", "``") + "`";
  }

  private static Dataset<Row> filter(Dataset<Row> rows, String condition) {
    try {
      return rows.where(condition);
    } catch (Exception invalid) {
      if (invalid instanceof AnalysisException) {
        throw Values.invalid("where", condition, Failures.message(invalid));
      }
      throw invalid;
    }
  }

  private Dataset<Row> partition(Dataset<Row> rows, InputOptions input) {
    if (input.partitions().isPresent()) {
      return rows.repartition(input.partitions().get());
    }
    int cores = spark.sparkContext().defaultParallelism();
    // A limit ends in one partition; asking for their number would run it.
    boolean few = input.limit().isPresent() || rows.rdd().getNumPartitions() < cores;
    return few ? rows.repartition(cores) : rows;
  }
}
