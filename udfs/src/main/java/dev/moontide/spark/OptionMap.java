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
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.commons.text.similarity.LevenshteinDistance;
import org.apache.spark.network.util.JavaUtils;
import org.jspecify.annotations.Nullable;

/** Options as text, by name, and their conversion: each error names option, value and allowed. */
final class OptionMap {
  /** By the name without hyphens, in lower case: what all spellings of a name have in common. */
  private final Map<String, String> values = new HashMap<>();

  /**
   * @param options the options as given
   * @param names the allowed names, in kebab-case
   */
  OptionMap(Map<String, String> options, List<String> names) {
    Map<String, String> kebabNames =
        names.stream().collect(Collectors.toMap(OptionMap::key, name -> name));
    options.forEach(
        (name, value) -> {
          String key = key(name);
          if (!kebabNames.containsKey(key)) {
            throw MoontideException.configuration(
                "there is no option %s; did you mean %s?", name, nearest(key, kebabNames));
          }
          if (value != null && values.put(key, value) != null) {
            throw MoontideException.configuration("%s is given twice: remove one", name);
          }
        });
  }

  static String key(String name) {
    return name.replaceAll("[-_]", "").toLowerCase(Locale.ROOT);
  }

  static String nearest(String key, Map<String, String> kebabNames) {
    LevenshteinDistance distance = LevenshteinDistance.getDefaultInstance();
    return Collections.min(
            kebabNames.entrySet(),
            Comparator.<Map.Entry<String, String>>comparingInt(
                    name -> distance.apply(key, name.getKey()))
                .thenComparing(Map.Entry.comparingByKey()))
        .getValue();
  }

  /** A constant as it is written in options, such as {@code truncate-left}. */
  static String nameOf(Enum<?> constant) {
    return constant.name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  boolean has(String name) {
    return values.containsKey(key(name));
  }

  @Nullable String string(String name) {
    return values.get(key(name));
  }

  String string(String name, String absent) {
    String value = string(name);
    return value == null ? absent : value;
  }

  boolean flag(String name, boolean absent) {
    String value = string(name, Boolean.toString(absent)).strip();
    // A flag on a command line has no value of its own.
    if (value.isEmpty() || value.equalsIgnoreCase("true")) {
      return true;
    }
    if (value.equalsIgnoreCase("false")) {
      return false;
    }
    throw MoontideException.configuration("%s is %s: allowed is true or false", name, value);
  }

  int integer(String name, int absent) {
    long value = bigInteger(name, absent);
    if (value != (int) value) {
      throw notA(name, Long.toString(value), "a whole number up to " + Integer.MAX_VALUE);
    }
    return (int) value;
  }

  long bigInteger(String name, long absent) {
    String value = string(name);
    try {
      return value == null ? absent : Long.parseLong(value.strip());
    } catch (NumberFormatException e) {
      throw notA(name, value, "a whole number");
    }
  }

  double number(String name, double absent) {
    String value = string(name);
    try {
      return value == null ? absent : Double.parseDouble(value.strip());
    } catch (NumberFormatException e) {
      throw notA(name, value, "a number");
    }
  }

  /** A number of bytes, such as {@code 512m} or {@code 2g}; bytes without a unit. */
  long bytes(String name, long absent) {
    String value = string(name);
    try {
      return value == null ? absent : JavaUtils.byteStringAsBytes(value.strip());
    } catch (IllegalArgumentException | ArithmeticException e) {
      throw notA(name, value, "a size such as 512m or 2g");
    }
  }

  <E extends Enum<E>> E choice(String name, Class<E> type, E absent) {
    String value = string(name);
    if (value == null) {
      return absent;
    }
    for (E constant : type.getEnumConstants()) {
      if (key(nameOf(constant)).equals(key(value.strip()))) {
        return constant;
      }
    }
    throw notA(
        name,
        value,
        Arrays.stream(type.getEnumConstants())
            .map(OptionMap::nameOf)
            .collect(Collectors.joining(", ")));
  }

  /** The strings of a JSON array, or else between commas. */
  List<String> list(String name) {
    String value = string(name);
    try {
      return value == null ? List.of() : JsonStrings.parseOrSplit(value);
    } catch (IllegalArgumentException e) {
      throw notA(name, value, String.valueOf(e.getMessage()));
    }
  }

  /** The strings of a JSON array, or else the whole value. */
  List<String> strings(String name) {
    String value = string(name);
    return value == null || JsonStrings.isArray(value) ? list(name) : List.of(value);
  }

  List<Integer> integers(String name) {
    return list(name).stream()
        .map(
            value -> {
              try {
                return Integer.valueOf(value);
              } catch (NumberFormatException e) {
                throw notA(name, value, "whole numbers");
              }
            })
        .toList();
  }

  private static MoontideException notA(String name, @Nullable String value, String allowed) {
    return MoontideException.configuration(
        "%s is %s: allowed is %s", name, String.valueOf(value), allowed);
  }
}
