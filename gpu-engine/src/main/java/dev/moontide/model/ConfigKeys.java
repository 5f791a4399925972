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
package dev.moontide.model;

import com.fasterxml.jackson.databind.JsonNode;
import dev.moontide.checkpoint.Problems;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;

/**
 * Reads the keys of one JSON object of a config. What is wrong with a key is added to the problems
 * and something harmless returned in its place, so that the next can be looked at; the values are
 * used only if there were no problems. A key that is null counts as absent, as its writers mean.
 */
final class ConfigKeys {
  private final String file;
  private final String path;
  private final JsonNode object;
  private final Problems problems;

  /**
   * @param file for messages
   * @param path of the object in the file, ending in a dot; empty for the root
   */
  ConfigKeys(String file, String path, JsonNode object, Problems problems) {
    this.file = file;
    this.path = path;
    this.object = object;
    this.problems = problems;
  }

  boolean has(String key) {
    return object.hasNonNull(key);
  }

  /** The object under {@code key}; empty if it is absent. */
  ConfigKeys object(String key) {
    JsonNode value = object.path(key);
    if (has(key) && !value.isObject()) {
      wrong(key, "a JSON object");
    }
    return new ConfigKeys(file, path + key + ".", value, problems);
  }

  /** The only entry of the object under {@code key}. */
  ConfigKeys onlyObject(String key) {
    JsonNode value = object.path(key);
    if (!value.isObject() || value.size() != 1 || !value.elements().next().isObject()) {
      wrong(key, "an object with one group");
      return new ConfigKeys(file, path + key + ".", value, problems);
    }
    String only = value.fieldNames().next();
    return new ConfigKeys(file, path + key + "." + only + ".", value.get(only), problems);
  }

  int integer(String key, int least, int most) {
    JsonNode value = object.path(key);
    if (value.isIntegralNumber()
        && value.canConvertToInt()
        && value.intValue() >= least
        && value.intValue() <= most) {
      return value.intValue();
    }
    wrong(key, "an integer from %d to %d".formatted(least, most));
    return least;
  }

  int integer(String key, int least, int most, int absent) {
    return has(key) ? integer(key, least, most) : absent;
  }

  OptionalInt optionalInteger(String key, int least, int most) {
    return has(key) ? OptionalInt.of(integer(key, least, most)) : OptionalInt.empty();
  }

  /** A finite number of at least {@code least}, or above it. */
  double number(String key, double least, boolean above) {
    JsonNode value = object.path(key);
    double number = value.doubleValue();
    if (value.isNumber() && Double.isFinite(number) && (above ? number > least : number >= least)) {
      return number;
    }
    wrong(key, "a number " + (above ? "above " : "of at least ") + least);
    return 1;
  }

  double number(String key, double least, boolean above, double absent) {
    return has(key) ? number(key, least, above) : absent;
  }

  boolean flag(String key, boolean absent) {
    if (has(key) && !object.get(key).isBoolean()) {
      wrong(key, "true or false");
    }
    return has(key) ? object.get(key).booleanValue() : absent;
  }

  String text(String key, String absent) {
    if (has(key) && !object.get(key).isTextual()) {
      wrong(key, "a string");
    }
    return has(key) ? object.get(key).textValue() : absent;
  }

  /** One integer or several, none negative; empty if absent. */
  List<Integer> ids(String key) {
    List<Integer> ids = new ArrayList<>();
    if (has(key)) {
      JsonNode value = object.get(key);
      for (JsonNode id : value.isArray() ? value : List.of(value)) {
        if (!id.isIntegralNumber() || !id.canConvertToInt() || id.intValue() < 0) {
          wrong(key, "a token id or a list of them");
          return List.of();
        }
        ids.add(id.intValue());
      }
    }
    return ids;
  }

  /** Requires the value of {@code key}, if it is there, to print as one of {@code allowed}. */
  void oneOf(String key, String... allowed) {
    if (has(key) && !List.of(allowed).contains(printed(key))) {
      wrong(key, String.join(" or ", allowed));
    }
  }

  /** Requires the value of {@code key} to be there and print as {@code value}. */
  void required(String key, String value) {
    if (!has(key) || !printed(key).equals(value)) {
      wrong(key, value);
    }
  }

  /** Requires {@code key} to be absent or null. */
  void absent(String key) {
    if (has(key)) {
      wrong(key, "null");
    }
  }

  /** Adds the problem that {@code key} is not as {@code expected}. */
  void wrong(String key, String expected) {
    String found = object.has(key) ? printed(key) : "missing";
    String shown = found.length() <= 80 ? found : found.substring(0, 80) + "…";
    problems.add("%s: %s%s is %s, expected %s", file, path, key, shown, expected);
  }

  private String printed(String key) {
    JsonNode value = object.get(key);
    return value.isTextual() ? value.textValue() : value.toString();
  }
}
