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

import dev.moontide.api.MoontideException;
import dev.moontide.spark.PromptOptions.Source;
import dev.moontide.tokenizer.PromptTemplate;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.function.Predicate;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.IntegerType;
import org.apache.spark.sql.types.LongType;
import org.apache.spark.sql.types.StringType;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import org.jspecify.annotations.Nullable;

/**
 * What can be said on the driver about the columns of a dataset, before any model is loaded: those
 * the options name are there and of a type that serves, the answer's are not.
 */
final class Columns {
  /** Begins the names of columns that a job adds for itself. */
  private static final String OWN = "_moontide_";

  private final StructType schema;

  private Columns(StructType schema) {
    this.schema = schema;
  }

  /**
   * The columns of {@code schema}, then the answer's.
   *
   * @throws MoontideException of category configuration
   */
  static StructType withAnswer(StructType schema, JobOptions options) {
    Columns columns = new Columns(schema);
    columns.checkDistinct();
    columns.checkArrow();
    columns.checkPrompt(options.prompt());
    if (options.choices() != null
        && options.choices().source() instanceof ChoiceOptions.Source.Column column) {
      columns.check("choices-column", column.name(), Columns::isStringArray, "an array of string");
    }
    columns.checkText("id-column", options.output().idColumn());
    columns.checkText("truth-column", options.output().truthColumn());
    return columns.append(AnswerColumns.schema(options.task(), options.output().prefix()));
  }

  private void checkDistinct() {
    Set<String> seen = new HashSet<>();
    for (String name : schema.fieldNames()) {
      if (!seen.add(name)) {
        throw MoontideException.configuration(
            "the rows have two columns named %s: rename or drop one", name);
      }
    }
  }

  private void checkArrow() {
    for (StructField field : schema.fields()) {
      try {
        ArrowBatch.schema(new StructType(new StructField[] {field}));
      } catch (RuntimeException e) {
        throw new MoontideException(
            MoontideException.Category.CONFIGURATION,
            "column %s is of type %s, which cannot travel in Arrow batches (%s): cast or drop it"
                .formatted(field.name(), field.dataType().sql(), e.getMessage()),
            e);
      }
    }
  }

  private void checkPrompt(PromptOptions prompt) {
    if (prompt.source() instanceof Source.Text text) {
      check("text-column", text.column(), StringType.class::isInstance, "a string");
    } else if (prompt.source() instanceof Source.Template template) {
      checkTemplate("prompt", template.jinja());
    } else if (prompt.source() instanceof Source.Messages messages) {
      check(
          "messages-column",
          messages.column(),
          Conversations::isReadable,
          "an array of struct<role string, content string, …>, or a string with JSON");
    } else if (prompt.source() instanceof Source.Ids ids) {
      check("ids-column", ids.column(), Columns::isIdArray, "an array of int or bigint");
    }
    if (prompt.continuation() != null) {
      check("continuation-column", prompt.continuation(), StringType.class::isInstance, "a string");
    }
    if (prompt.system() != null) {
      checkTemplate("system", prompt.system());
    }
  }

  private void checkTemplate(String option, String jinja) {
    for (String column : PromptTemplate.compile(jinja).columns()) {
      check(
          option,
          column,
          CatalystValues::isConvertible,
          "made of strings, numbers, booleans, dates and times");
    }
  }

  private void checkText(String option, @Nullable String column) {
    if (column != null) {
      check(option, column, Column::isText, "a string or a whole number");
    }
  }

  private void check(String option, String column, Predicate<DataType> serves, String allowed) {
    if (!Arrays.asList(schema.fieldNames()).contains(column)) {
      List<String> names =
          Arrays.stream(schema.fieldNames()).filter(name -> !name.startsWith(OWN)).toList();
      throw MoontideException.configuration(
          "%s names the column %s, which the rows do not have; they have %s",
          option,
          column,
          names.isEmpty() ? "no column at all, as in an empty file" : String.join(", ", names));
    }
    DataType type = schema.apply(column).dataType();
    if (!serves.test(type)) {
      throw MoontideException.configuration(
          "%s names the column %s, which is of type %s: it should be %s",
          option, column, type.sql(), allowed);
    }
  }

  private static boolean isStringArray(DataType type) {
    return type instanceof ArrayType array && array.elementType() instanceof StringType;
  }

  private static boolean isIdArray(DataType type) {
    return type instanceof ArrayType array
        && (array.elementType() instanceof IntegerType || array.elementType() instanceof LongType);
  }

  private StructType append(StructType answer) {
    Set<String> there = new HashSet<>();
    for (String name : schema.fieldNames()) {
      there.add(name.toLowerCase(Locale.ROOT));
    }
    StructType all = schema;
    for (StructField field : answer.fields()) {
      // Spark tells names apart by more than their case only when told to.
      if (there.contains(field.name().toLowerCase(Locale.ROOT))) {
        throw MoontideException.configuration(
            "the rows already have a column %s, which the answer needs: rename it, or set"
                + " output-prefix to give the answer's columns other names",
            field.name());
      }
      all = all.add(field);
    }
    return all;
  }
}
