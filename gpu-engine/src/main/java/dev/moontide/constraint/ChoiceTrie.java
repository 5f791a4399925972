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

import dev.moontide.api.ChoiceSet;
import dev.moontide.api.TokenIds;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/**
 * The tokens of a {@link ChoiceSet} as a trie: what choices have in common is computed once.
 * Immutable.
 *
 * <p>Nodes are numbered breadth first from the root, 0, and a node's children are adjacent and
 * ascend by token; so parents come before their children. A choice ends at a node, usually a leaf;
 * where one choice begins another it ends at an inner node.
 */
public final class ChoiceTrie {
  private final ChoiceSet choices;
  private final int nodes;
  private final int innerNodes;
  private final int mostOnAPath;
  private final int[] token;
  private final int[] parent;
  private final int[] depth;

  /** Children of node {@code n} are {@code [firstChild[n], firstChild[n + 1])}. */
  private final int[] firstChild;

  private final boolean[] terminal;
  private final int[] choice;

  public ChoiceTrie(ChoiceSet choices) {
    this.choices = choices;
    List<TokenIds> tokens = choices.tokens();
    int[] sorted =
        IntStream.range(0, choices.size())
            .boxed()
            .sorted(Comparator.comparing(tokens::get, ChoiceTrie::compare))
            .mapToInt(Integer::intValue)
            .toArray();
    int capacity = 1 + tokens.stream().mapToInt(TokenIds::length).sum();
    token = new int[capacity];
    parent = new int[capacity];
    depth = new int[capacity];
    firstChild = new int[capacity + 1];
    terminal = new boolean[capacity];
    choice = new int[capacity];
    // Choices below node n are sorted[from[n], to[n]); they agree in their first depth[n] tokens.
    int[] from = new int[capacity];
    int[] to = new int[capacity];
    to[0] = sorted.length;
    int end = 1;
    int inner = 0;
    for (int node = 0; node < end; node++) {
      firstChild[node] = end;
      int i = from[node];
      if (tokens.get(sorted[i]).length() == depth[node]) {
        terminal[node] = true;
        choice[node] = sorted[i++];
      }
      while (i < to[node]) {
        int next = tokens.get(sorted[i]).get(depth[node]);
        from[end] = i;
        while (i < to[node] && tokens.get(sorted[i]).get(depth[node]) == next) {
          i++;
        }
        to[end] = i;
        token[end] = next;
        parent[end] = node;
        depth[end] = depth[node] + 1;
        end++;
      }
      if (end > firstChild[node]) {
        inner++;
      }
    }
    firstChild[end] = end;
    nodes = end;
    innerNodes = inner;
    mostOnAPath = countOnPaths();
  }

  private int countOnPaths() {
    int[] ended = new int[nodes];
    int most = 0;
    for (int node = 0; node < nodes; node++) {
      ended[node] = (node == 0 ? 0 : ended[parent[node]]) + (terminal[node] ? 1 : 0);
      most = Math.max(most, ended[node]);
    }
    return most;
  }

  private static int compare(TokenIds a, TokenIds b) {
    return Arrays.compare(a.toArray(), b.toArray());
  }

  public ChoiceSet choices() {
    return choices;
  }

  /** Number of nodes, the root included. */
  public int nodes() {
    return nodes;
  }

  /** Number of nodes with children, the root included: those whose logits are needed. */
  public int innerNodes() {
    return innerNodes;
  }

  /** Most choices that end on one path: 1 where no choice begins another. */
  public int mostOnAPath() {
    return mostOnAPath;
  }

  /** Length of the longest choice, in tokens. */
  public int maxDepth() {
    return depth[nodes - 1];
  }

  /** The token that leads to {@code node}, which is not the root. */
  public int token(int node) {
    return token[node];
  }

  /** The parent of {@code node}, which is not the root. */
  public int parent(int node) {
    return parent[node];
  }

  /** Tokens from the root to {@code node}. */
  public int depth(int node) {
    return depth[node];
  }

  /** The first child of {@code node}; as many as {@link #childCount} follow one another. */
  public int firstChild(int node) {
    return firstChild[node];
  }

  public int childCount(int node) {
    return firstChild[node + 1] - firstChild[node];
  }

  /** Whether a choice ends at {@code node}. */
  public boolean isTerminal(int node) {
    return terminal[node];
  }

  /** The index in the set of the choice that ends at {@code node}, which is terminal. */
  public int choice(int node) {
    return choice[node];
  }
}
