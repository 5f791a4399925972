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
package dev.moontide.constraint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.api.ChoiceSet;
import dev.moontide.api.TokenIds;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

class ChoiceTrieTest {
  static ChoiceSet choices(int[]... tokens) {
    List<TokenIds> list = Arrays.stream(tokens).map(TokenIds::of).toList();
    return new ChoiceSet(list.stream().map(TokenIds::toString).toList(), list);
  }

  @Test
  void everyChoiceIsAPath() {
    ChoiceSet choices =
        choices(
            new int[] {5, 1, 9},
            new int[] {5, 2, 9},
            new int[] {3, 9},
            new int[] {5, 1},
            new int[] {5, 1, 9, 9});
    ChoiceTrie trie = new ChoiceTrie(choices);
    // root; 3, 5; 3-9, 5-1, 5-2; 5-1-9, 5-2-9; 5-1-9-9
    assertEquals(9, trie.nodes());
    assertEquals(6, trie.innerNodes());
    assertEquals(4, trie.maxDepth());
    Set<Integer> found = new HashSet<>();
    for (int node = 1; node < trie.nodes(); node++) {
      assertTrue(trie.parent(node) < node);
      if (trie.isTerminal(node)) {
        int[] path = new int[trie.depth(node)];
        int at = node;
        for (int i = path.length - 1; i >= 0; i--) {
          path[i] = trie.token(at);
          at = trie.parent(at);
        }
        assertEquals(choices.tokens().get(trie.choice(node)), TokenIds.of(path));
        found.add(trie.choice(node));
      }
      for (int i = 0; i < trie.childCount(node); i++) {
        assertEquals(node, trie.parent(trie.firstChild(node) + i));
      }
    }
    assertEquals(choices.size(), found.size());
    assertFalse(trie.isTerminal(0));
  }

  @Test
  void childrenAscend() {
    ChoiceTrie trie = new ChoiceTrie(choices(new int[] {7}, new int[] {2}, new int[] {5}));
    assertEquals(3, trie.childCount(0));
    assertEquals(2, trie.token(1));
    assertEquals(5, trie.token(2));
    assertEquals(7, trie.token(3));
    assertEquals(0, trie.choice(3));
  }
}
