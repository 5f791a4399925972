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
package dev.moontide.api;

import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * A closed set of answers, each a sequence of tokens that includes its end of turn, so that one may
 * be the beginning of another. Share one instance between rows with the same set: what is derived
 * from it (a trie) is kept by identity.
 *
 * @param names the answers as text, distinct
 * @param tokens the tokens of each, never empty, none the beginning of another
 */
public record ChoiceSet(List<String> names, List<TokenIds> tokens) {
  public ChoiceSet {
    names = List.copyOf(names);
    tokens = List.copyOf(tokens);
    if (names.isEmpty() || names.size() != tokens.size()) {
      throw MoontideException.configuration(
          "choices: %d names and %d token sequences: at least one is needed, and as many of each",
          names.size(), tokens.size());
    }
    Set<TokenIds> seen = new HashSet<>();
    for (int i = 0; i < names.size(); i++) {
      if (tokens.get(i).length() == 0) {
        throw MoontideException.configuration("choice \"%s\" has no tokens", names.get(i));
      }
      if (!seen.add(tokens.get(i))) {
        throw MoontideException.configuration(
            "choice \"%s\" stands twice in the list: remove one", names.get(i));
      }
    }
  }

  /** Number of choices. */
  public int size() {
    return names.size();
  }
}
