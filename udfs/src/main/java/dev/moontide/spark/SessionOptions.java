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
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.BiConsumer;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.RuntimeConfig;
import org.jspecify.annotations.Nullable;
import scala.jdk.javaapi.CollectionConverters;

/**
 * The options in a Spark configuration, {@code spark.moontide.*}.
 *
 * @param given by their names in kebab-case
 * @param preload whether the plugin loads the engine when an executor starts, as it is written;
 *     null if it is not
 */
public record SessionOptions(Map<String, String> given, @Nullable String preload) {
  static final String PREFIX = "spark.moontide.";

  /** Names the folder of finished results; see {@link SessionStore}. */
  static final String STORE = "store";

  private static final String PRELOAD = "preload";

  private static final Pattern HYPHENATED = Pattern.compile("-([a-z])");

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
          "choices",
          "choices-file",
          "choices-column",
          "id-column",
          "truth-column",
          "output-prefix");

  /**
   * Reads the options among {@code configuration}.
   *
   * @throws MoontideException of category configuration for a name that is none
   */
  public static SessionOptions of(Map<String, String> configuration) {
    Map<String, String> given = new TreeMap<>();
    configuration.forEach(
        (name, value) -> {
          if (name.startsWith(PREFIX)
              && !name.equals(PREFIX + PRELOAD)
              && !name.equals(PREFIX + STORE)) {
            given.put(name.substring(PREFIX.length()), value);
          }
        });
    return new SessionOptions(kebabCase(given, PREFIX), configuration.get(PREFIX + PRELOAD));
  }

  /** The same of an application's configuration. */
  public static SessionOptions of(SparkConf configuration) {
    return of(entries(configuration));
  }

  private static Map<String, String> entries(SparkConf configuration) {
    return Arrays.stream(configuration.getAll())
        .collect(Collectors.toMap(entry -> entry._1(), entry -> entry._2()));
  }

  /**
   * Has {@code configuration} say {@code options}, whatever it says of them now.
   *
   * @param options by their names in kebab-case
   */
  public static void set(RuntimeConfig configuration, Map<String, String> options) {
    write(
        options, CollectionConverters.asJava(configuration.getAll()).keySet(), configuration::set);
  }

  /** The same for an application, before it starts: what of {@code options} its executors need. */
  public static void setForExecutors(SparkConf configuration, Map<String, String> options) {
    Map<String, String> needed = new TreeMap<>(options);
    needed.keySet().retainAll(OptionReader.EXECUTOR_NAMES);
    write(needed, entries(configuration).keySet(), configuration::set);
  }

  /** In the spelling that is there, as Spark reads removed system properties again. */
  private static void write(
      Map<String, String> options, Set<String> present, BiConsumer<String, String> setting) {
    Map<String, String> spelled =
        present.stream()
            .filter(name -> name.startsWith(PREFIX))
            .collect(Collectors.toMap(OptionMap::key, name -> name, (one, other) -> one));
    options.forEach(
        (name, value) -> {
          String key = PREFIX + camelCase(name);
          setting.accept(spelled.getOrDefault(OptionMap.key(key), key), value);
        });
  }

  private static String camelCase(String name) {
    return HYPHENATED.matcher(name).replaceAll(word -> word.group(1).toUpperCase(Locale.ROOT));
  }

  /** The model, if the configuration names one. */
  Optional<ModelOptions> model() {
    return given.containsKey("model") ? Optional.of(ModelOptions.fromMap(given)) : Optional.empty();
  }

  /**
   * Whether the plugin loads the model when an executor starts: by default, unless the stages that
   * compute have executors of their own, as it would be loaded on all others too.
   */
  boolean isPreloaded() {
    boolean onEach = !given.containsKey("engine-resources");
    return preload == null
        ? onEach
        : new OptionMap(Map.of(PRELOAD, preload), List.of(PRELOAD)).flag(PRELOAD, true);
  }

  /**
   * {@code own} and, where these say nothing, the configuration's: but for those that exclude one
   * of {@code own}.
   */
  public Map<String, String> beneath(Map<String, String> own) {
    Map<String, String> named = kebabCase(own, "");
    Map<String, String> all = new LinkedHashMap<>(given);
    all.keySet().removeAll(ExclusiveOptions.OF_JOBS.ruledOutBy(named));
    all.putAll(named);
    return all;
  }

  /** The same for a call of a function, whose arguments say the rest. */
  Map<String, String> with(String function, Map<String, String> own) {
    Map<String, String> all = beneath(own);
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
