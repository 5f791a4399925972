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
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.apache.spark.SparkConf;

/**
 * The options in a Spark configuration, {@code spark.moontide.*}.
 *
 * @param given by their names in kebab-case
 * @param preload whether the plugin loads the engine when an executor starts, as it is written
 */
record SessionOptions(Map<String, String> given, String preload) {
  static final String PREFIX = "spark.moontide.";

  /** Names the folder of finished results; see {@link SessionStore}. */
  static final String STORE = "store";

  private static final String PRELOAD = "preload";

  /** What a function's arguments say. */
  private static final List<String> SAID_BY_ARGUMENTS =
      List.of(
          "task",
          "prompt",
          "text-column",
          "messages-column",
          "ids-column",
          "continuation-column",
          "labels",
          "labels-file",
          "choices-column",
          "id-column",
          "truth-column",
          "output-prefix");

  /**
   * Reads the options among {@code configuration}.
   *
   * @throws MoontideException of category configuration for a name that is none
   */
  static SessionOptions of(Map<String, String> configuration) {
    Map<String, String> given = new TreeMap<>();
    configuration.forEach(
        (name, value) -> {
          if (name.startsWith(PREFIX)
              && !name.equals(PREFIX + PRELOAD)
              && !name.equals(PREFIX + STORE)) {
            given.put(name.substring(PREFIX.length()), value);
          }
        });
    return new SessionOptions(
        kebabCase(given, PREFIX), configuration.getOrDefault(PREFIX + PRELOAD, "true"));
  }

  /** The same of an application's configuration. */
  static SessionOptions of(SparkConf configuration) {
    return of(
        Arrays.stream(configuration.getAll())
            .collect(Collectors.toMap(entry -> entry._1(), entry -> entry._2())));
  }

  /** The model, if the configuration names one. */
  Optional<ModelOptions> model() {
    return given.containsKey("model") ? Optional.of(ModelOptions.fromMap(given)) : Optional.empty();
  }

  /** Whether the plugin loads the model when an executor starts. */
  boolean isPreloaded() {
    return new OptionMap(Map.of(PRELOAD, preload), List.of(PRELOAD)).flag(PRELOAD, true);
  }

  /** These and, before them, a call's own. */
  Map<String, String> with(String function, Map<String, String> own) {
    Map<String, String> all = new LinkedHashMap<>(given);
    all.putAll(kebabCase(own, ""));
    for (String name : SAID_BY_ARGUMENTS) {
      if (all.containsKey(name)) {
        throw MoontideException.configuration(
            "%s takes no option %s, which its arguments say: unset %s%s",
            function, name, given.containsKey(name) ? PREFIX : "", name);
      }
    }
    return all;
  }

  private static Map<String, String> kebabCase(Map<String, String> options, String prefix) {
    Map<String, String> names =
        JobOptions.names().stream().collect(Collectors.toMap(OptionMap::key, name -> name));
    Map<String, String> renamed = new TreeMap<>();
    options.forEach(
        (name, value) -> {
          String known = names.get(OptionMap.key(name));
          if (known == null) {
            throw MoontideException.configuration(
                "there is no option %s%s; did you mean %s%s?",
                prefix, name, prefix, OptionMap.nearest(OptionMap.key(name), names));
          }
          if (renamed.put(known, value) != null) {
            throw MoontideException.configuration("%s%s is given twice: remove one", prefix, known);
          }
        });
    return renamed;
  }
}
