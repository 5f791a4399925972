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

import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Options of which one alone can be given. Where they come from several places, what is said in the
 * stronger one (a command line, a call) replaces not only the same option of a weaker one (a job
 * file, a session) but all that it rules out.
 *
 * @param sets each of names in kebab-case, of which one at most holds
 */
public record ExclusiveOptions(List<Set<String>> sets) {
  static final List<String> PROMPT_SOURCES =
      List.of("prompt", "text-column", "messages-column", "ids-column");

  static final List<String> CHOICES =
      List.of("labels", "choices", "labels-file", "choices-file", "choices-column");

  /** Those of {@link JobOptions}. */
  public static final ExclusiveOptions OF_JOBS =
      new ExclusiveOptions(
          List.of(
              Set.copyOf(PROMPT_SOURCES),
              Set.copyOf(CHOICES),
              Set.of("chat", "raw"),
              Set.of("chat", "ids-column"),
              Set.of("raw", "messages-column"),
              Set.of("system", "raw"),
              Set.of("system", "ids-column")));

  public ExclusiveOptions {
    sets = List.copyOf(sets);
  }

  /** The names that {@code given} rule out, none of which is among them. */
  public Set<String> ruledOutBy(Collection<String> given) {
    Set<String> ruledOut = new HashSet<>();
    for (Set<String> set : sets) {
      if (given.stream().anyMatch(set::contains)) {
        ruledOut.addAll(set);
      }
    }
    ruledOut.removeAll(given);
    return ruledOut;
  }

  /** The same for options with values: a flag that is switched off rules out nothing. */
  Set<String> ruledOutBy(Map<String, String> given) {
    return ruledOutBy(
        given.entrySet().stream()
            .filter(
                option -> option.getValue() != null && !option.getValue().equalsIgnoreCase("false"))
            .map(Map.Entry::getKey)
            .toList());
  }
}
