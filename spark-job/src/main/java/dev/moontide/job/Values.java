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

import dev.moontide.api.MoontideException;
import dev.moontide.spark.ExclusiveOptions;
import dev.moontide.spark.JsonStrings;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * What was given for a command's options, on the command line or in a job file.
 *
 * @param values by option name; a flag has {@code true} or {@code false}
 */
record Values(Map<String, List<String>> values) {
  Values {
    values = Map.copyOf(values);
  }

  /** What a flag that is given has: {@link #ON} or {@link #OFF}. */
  static final String ON = "true";

  static final String OFF = "false";

  /**
   * These values, and {@code defaults} where these have none: but for those that one of these
   * excludes.
   */
  Values orElse(Values defaults, ExclusiveOptions exclusive) {
    List<String> given = values.keySet().stream().filter(name -> !isOff(name)).toList();
    Map<String, List<String>> merged = new LinkedHashMap<>(defaults.values);
    merged.keySet().removeAll(exclusive.ruledOutBy(given));
    merged.putAll(values);
    return new Values(merged);
  }

  boolean has(String name) {
    return values.containsKey(name);
  }

  /** Whether a flag is given and not switched off. */
  boolean isOn(String name) {
    return all(name).equals(List.of(ON));
  }

  private boolean isOff(String name) {
    return all(name).equals(List.of(OFF));
  }

  List<String> all(String name) {
    return values.getOrDefault(name, List.of());
  }

  Optional<String> one(String name) {
    return all(name).stream().findFirst();
  }

  /** The values of an option that is a list. */
  List<String> list(String name) {
    String value = one(name).orElse("");
    try {
      return JsonStrings.parseOrSplit(value);
    } catch (IllegalArgumentException malformed) {
      throw invalid(name, value, String.valueOf(malformed.getMessage()));
    }
  }

  String required(String name, String example) {
    return one(name)
        .filter(value -> !value.isBlank())
        .orElseThrow(
            () ->
                MoontideException.configuration(
                    "--%s is missing: give it on the command line or in the job file, e.g. --%s %s",
                    name, name, example));
  }

  /** A whole number from 1 to 999,999,999. */
  Optional<Integer> positive(String name) {
    return one(name)
        .map(
            value -> {
              if (!value.matches("[1-9][0-9]{0,8}")) {
                throw invalid(name, value, "a whole number from 1 to 999999999");
              }
              return Integer.valueOf(value);
            });
  }

  /** The error of an option whose value is not allowed. */
  static MoontideException invalid(String name, String value, String allowed) {
    return MoontideException.configuration("--%s is %s: allowed is %s", name, value, allowed);
  }
}
