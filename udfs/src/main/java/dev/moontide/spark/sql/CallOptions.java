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
package dev.moontide.spark.sql;

import dev.moontide.api.MoontideException;
import dev.moontide.spark.CatalystValues;
import dev.moontide.spark.JsonStrings;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.types.MapType;
import org.apache.spark.sql.types.StructType;
import org.jspecify.annotations.Nullable;

/** What a call's constant arguments say, as text. */
final class CallOptions {
  private CallOptions() {}

  /**
   * The options of {@code function}.
   *
   * @param argument a constant map or struct, of values that are strings, numbers, booleans or
   *     lists of them
   */
  static Map<String, String> options(String function, Expression argument) {
    boolean isMap =
        argument.dataType() instanceof MapType || argument.dataType() instanceof StructType;
    if (!isMap || !argument.foldable()) {
      throw MoontideException.configuration(
          "%s: its options are %s, of type %s: allowed is a constant map or struct, such as"
              + " map('max_tokens', '20') or named_struct('max_tokens', 20, 'stop', array('.'))",
          function, argument.sql(), argument.dataType().sql());
    }
    Map<String, String> options = new LinkedHashMap<>();
    if (value(function, argument) instanceof Map<?, ?> given) {
      given.forEach((name, value) -> options.put(String.valueOf(name), text(value)));
    }
    return options;
  }

  /** The labels of {@code function}, a constant array of string. */
  static List<String> labels(String function, Expression argument) {
    if (value(function, argument) instanceof List<?> labels) {
      return labels.stream().map(CallOptions::text).toList();
    }
    throw MoontideException.configuration(
        "%s: its labels are %s, which is null: allowed is an array of different strings",
        function, argument.sql());
  }

  private static @Nullable Object value(String function, Expression argument) {
    try {
      return CatalystValues.toJava(argument.eval(null), argument.dataType());
    } catch (RuntimeException e) {
      throw new MoontideException(
          MoontideException.Category.CONFIGURATION,
          "%s: %s cannot be evaluated (%s): write it as literals"
              .formatted(function, argument.sql(), e.getMessage()),
          e);
    }
  }

  private static @Nullable String text(@Nullable Object value) {
    if (value instanceof List<?> list) {
      return JsonStrings.of(list);
    }
    return value == null ? null : value.toString();
  }
}
