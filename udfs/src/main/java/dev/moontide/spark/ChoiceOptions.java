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
import java.io.Serializable;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * The closed set of answers.
 *
 * @param source where the set stands
 * @param probabilityTolerance most that a choice's normalised probability may be off: choices that
 *     together have less are not evaluated further and get probability 0; 0 evaluates every choice
 */
public record ChoiceOptions(Source source, double probabilityTolerance) implements Serializable {

  /** Where the set of choices stands. */
  public sealed interface Source extends Serializable {
    /** The same choices for every row: distinct, none empty. */
    record Fixed(List<String> names) implements Source {
      public Fixed {
        names = List.copyOf(names);
        checkNames(names);
      }
    }

    /** Each row's own, in a column array of string. */
    record Column(String name) implements Source {}
  }

  public ChoiceOptions {
    if (!(probabilityTolerance >= 0 && probabilityTolerance < 0.5)) {
      throw MoontideException.configuration(
          "probability-tolerance is %s: allowed is from 0 (evaluate every label) to below 0.5",
          probabilityTolerance);
    }
  }

  private static void checkNames(List<String> names) {
    if (names.isEmpty()) {
      throw MoontideException.configuration("labels is empty: at least one label is needed");
    }
    Set<String> seen = new HashSet<>();
    for (String name : names) {
      if (name.isEmpty()) {
        throw MoontideException.configuration("labels has an empty label: remove it");
      }
      if (!seen.add(name)) {
        throw MoontideException.configuration("labels has \"%s\" twice: remove one", name);
      }
    }
  }
}
