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

import java.io.Serializable;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.spark.SparkContext;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.jspecify.annotations.Nullable;

/**
 * What a call of an SQL function asks of the model: all of it but its arguments' values.
 *
 * @param function which function
 * @param options its options, parsed
 * @param given the options as they were given, for people to read
 */
public record ModelCall(Function function, JobOptions options, Map<String, String> given)
    implements Serializable {
  private static final StructType QUERY =
      new StructType()
          .add("response", DataTypes.StringType)
          .add("finish_reason", DataTypes.StringType)
          .add("error", DataTypes.StringType)
          .add("prompt_tokens", DataTypes.IntegerType)
          .add("completion_tokens", DataTypes.IntegerType);

  /** The SQL functions. */
  public enum Function {
    AI_GEN("generate", "prompt"),
    AI_CLASSIFY("label", "text"),
    AI_QUERY("generate", "prompt"),
    AI_SCORE("score", "prompt");

    private final String task;
    private final String text;

    Function(String task, String text) {
      this.task = task;
      this.text = text;
    }

    /** As it is written in SQL. */
    public String sqlName() {
      return name().toLowerCase(Locale.ROOT);
    }

    private DataType type() {
      return switch (this) {
        case AI_GEN, AI_CLASSIFY -> DataTypes.StringType;
        case AI_QUERY -> QUERY;
        case AI_SCORE -> DataTypes.DoubleType;
      };
    }
  }

  public ModelCall {
    given = new LinkedHashMap<>(given);
  }

  /**
   * Reads the options of a call.
   *
   * @param session the session's configuration, {@code spark.moontide.*} among it
   * @param options of the call itself, which win
   * @param labels of {@code ai_classify} where they are the same for every row, else null
   * @throws dev.moontide.api.MoontideException of category configuration
   */
  public static ModelCall of(
      Function function,
      Map<String, String> session,
      Map<String, String> options,
      @Nullable List<String> labels) {
    Map<String, String> given = SessionOptions.of(session).with(function.sqlName(), options);
    Map<String, String> all = new LinkedHashMap<>(given);
    all.put("task", function.task);
    all.put("text-column", function.text);
    switch (function) {
      case AI_CLASSIFY -> {
        if (labels == null) {
          all.put("choices-column", "labels");
        } else {
          all.put("labels", JsonStrings.of(labels));
        }
      }
      case AI_SCORE -> all.put("continuation-column", "continuation");
      case AI_GEN, AI_QUERY -> {}
    }
    return new ModelCall(function, JobOptions.fromMap(all), given);
  }

  /** The same, with the model as the executors of an application have it. */
  public ModelCall onExecutorsOf(SparkContext context) {
    return new ModelCall(function, options.onExecutorsOf(context), given);
  }

  /** The type of the answer, which is null where an argument is, or where the row failed. */
  public DataType type() {
    return function.type();
  }

  /** The columns that hold its arguments' values. */
  public StructType arguments() {
    StructType first = new StructType().add(function.text, DataTypes.StringType);
    return switch (function) {
      case AI_GEN, AI_QUERY -> first;
      case AI_SCORE -> first.add("continuation", DataTypes.StringType);
      case AI_CLASSIFY ->
          options.choices() != null
                  && options.choices().source() instanceof ChoiceOptions.Source.Column column
              ? first.add(column.name(), DataTypes.createArrayType(DataTypes.StringType))
              : first;
    };
  }

  /** Model, labels and options, for a plan that people read. */
  public String description() {
    List<String> parts = new ArrayList<>();
    parts.add("model=" + options.model().location());
    if (options.choices() != null
        && options.choices().source() instanceof ChoiceOptions.Source.Fixed fixed
        && function == Function.AI_CLASSIFY) {
      parts.add("labels=" + fixed.names());
    }
    given.forEach(
        (name, value) -> {
          if (!name.equals("model")) {
            parts.add(name + "=" + value);
          }
        });
    return parts.stream().collect(Collectors.joining(", "));
  }
}
