package dev.moontide.constraint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.api.ChoiceSet;
import dev.moontide.api.TokenIds;
import dev.moontide.tensor.Step;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;

class ChoiceSearchTest {
  /** A made-up model: the log-probability of {@code node}'s token after its parent's path. */
  private interface Model {
    double logProbability(int node);
  }

  private static int rounds;

  /** Runs a search to its end; answers {@code chunk} queued nodes at a time. */
  private static ChoiceSearch run(ChoiceTrie trie, double tolerance, Model model) {
    ChoiceSearch search = new ChoiceSearch(trie, tolerance);
    rounds = 0;
    do {
      rounds++;
      int known = search.queued() + 1;
      while (search.answered() < known) {
        int node = search.answerOf(search.answered());
        double[] answers = new double[3 + trie.childCount(node)];
        for (int i = 0; i < trie.childCount(node); i++) {
          answers[3 + i] = model.logProbability(trie.firstChild(node) + i);
        }
        search.answer(answers, 3);
      }
    } while (!search.isFinished());
    return search;
  }

  private static double[] bruteForce(ChoiceTrie trie, Model model) {
    double[] p = new double[trie.choices().size()];
    double sum = 0;
    for (int node = 1; node < trie.nodes(); node++) {
      if (trie.isTerminal(node)) {
        double product = 1;
        for (int at = node; at > 0; at = trie.parent(at)) {
          product *= Math.exp(model.logProbability(at));
        }
        p[trie.choice(node)] = product;
        sum += product;
      }
    }
    for (int i = 0; i < p.length; i++) {
      p[i] /= sum;
    }
    return p;
  }

  /** Makes the probabilities of each node's children sum to 1. */
  private static void normalise(ChoiceTrie trie, double[] logs) {
    for (int node = 0; node < trie.nodes(); node++) {
      int first = trie.firstChild(node);
      int end = first + trie.childCount(node);
      double sum = Arrays.stream(logs, first, end).map(Math::exp).sum();
      for (int child = first; child < end; child++) {
        logs[child] -= Math.log(sum);
      }
    }
  }

  private static ChoiceSet random(Random random) {
    int count = 1 + random.nextInt(30);
    Set<TokenIds> tokens = new LinkedHashSet<>();
    while (tokens.size() < count) {
      tokens.add(TokenIds.of(random.ints(1 + random.nextInt(5), 0, 4).toArray()));
    }
    List<TokenIds> list = new ArrayList<>(tokens);
    return new ChoiceSet(list.stream().map(TokenIds::toString).toList(), list);
  }

  @Test
  void probabilitiesAreNormalisedProducts() {
    Random random = new Random(3);
    for (int trial = 0; trial < 2000; trial++) {
      ChoiceTrie trie = new ChoiceTrie(random(random));
      double[] logs = new double[trie.nodes()];
      double scale = Math.pow(10, random.nextInt(3) - 1);
      Arrays.setAll(logs, i -> -scale * random.nextDouble() * 3);
      normalise(trie, logs);
      double[] exact = bruteForce(trie, node -> logs[node]);

      ChoiceSearch all = run(trie, 0, node -> logs[node]);
      assertEquals(1, rounds);
      assertEquals(trie.innerNodes() - 1, all.queued());
      double[] p = all.probabilities();
      for (int i = 0; i < p.length; i++) {
        assertEquals(exact[i], p[i], 1e-12);
      }

      double tolerance = Math.pow(10, -3 * random.nextDouble() - 0.5);
      double[] q = run(trie, tolerance, node -> logs[node]).probabilities();
      double kept = 0;
      for (int i = 0; i < q.length; i++) {
        kept += q[i] > 0 ? exact[i] : 0;
      }
      assertTrue(1 - kept <= tolerance, "dropped " + (1 - kept) + ", tolerance " + tolerance);
      for (int i = 0; i < q.length; i++) {
        assertEquals(q[i] > 0 ? exact[i] / kept : 0, q[i], 1e-12);
        assertEquals(exact[i], q[i], tolerance);
      }
    }
  }

  @Test
  void aConfidentModelNeedsFewNodes() {
    // 100 labels of three tokens behind 100 first tokens; one first token has nearly all the mass.
    int[][] labels = new int[100][];
    Arrays.setAll(labels, i -> new int[] {i, i % 7, 50});
    ChoiceTrie trie = new ChoiceTrie(ChoiceTrieTest.choices(labels));
    ChoiceSearch search =
        run(trie, 1e-3, node -> trie.depth(node) > 1 ? -0.01 : trie.token(node) == 42 ? -1e-4 : -14);
    assertEquals(2, search.queued());
    assertEquals(2, rounds);
    assertEquals(1, search.probabilities()[42]);
  }

  @Test
  void evenlySpreadMassIsAllEvaluated() {
    int[][] labels = new int[100][];
    Arrays.setAll(labels, i -> new int[] {i, 50, 51});
    ChoiceTrie trie = new ChoiceTrie(ChoiceTrieTest.choices(labels));
    ChoiceSearch search = run(trie, 0.02, node -> trie.depth(node) == 1 ? Math.log(0.01) : -1);
    assertEquals(200, search.queued());
    assertEquals(0.01, search.probabilities()[17], 1e-15);
  }

  @Test
  void pathsThatUnderflowADoubleAreStillCompared() {
    int[][] labels = {{1, 2, 3}, {1, 2, 4}, {2, 3}};
    ChoiceTrie trie = new ChoiceTrie(ChoiceTrieTest.choices(labels));
    for (double tolerance : new double[] {0, 1e-3}) {
      double[] p =
          run(trie, tolerance, node -> trie.token(node) == 4 ? -1000 - Math.log(3) : -1000)
              .probabilities();
      if (tolerance > 0) {
        assertEquals(1, p[2]);
      }
      // {2, 3} is e^1000 times as probable as the others.
      assertEquals(1, p[2]);
      assertEquals(0, p[0]);
    }
    ChoiceTrie pair =
        new ChoiceTrie(ChoiceTrieTest.choices(new int[] {1, 2, 3}, new int[] {1, 2, 4}));
    double[] p =
        run(pair, 1e-3, node -> pair.token(node) == 4 ? -1000 - Math.log(3) : -1000)
            .probabilities();
    assertEquals(0.75, p[0], 1e-12);
  }

  @Test
  void aPathWithoutForksIsQueuedAtOnce() {
    ChoiceTrie one = new ChoiceTrie(ChoiceTrieTest.choices(new int[] {1, 2, 3, 4}));
    assertEquals(3, new ChoiceSearch(one, 0.01).queued());
    ChoiceTrie two =
        new ChoiceTrie(ChoiceTrieTest.choices(new int[] {1, 2, 3, 4}, new int[] {5, 6, 7, 8}));
    ChoiceSearch search = new ChoiceSearch(two, 0.01);
    assertEquals(0, search.queued());
    search.answer(new double[] {-0.1, -9}, 0);
    assertEquals(3, search.queued());
  }

  @Test
  void treeTokensSeeThePromptAndTheirPath() {
    ChoiceTrie trie =
        new ChoiceTrie(
            ChoiceTrieTest.choices(
                new int[] {1, 2, 3}, new int[] {1, 4, 3}, new int[] {5, 6}));
    ChoiceSearch search = new ChoiceSearch(trie, 0);
    Step step = new Step(10, 1);
    step.beginSequence(new int[10]);
    for (int slot = 0; slot < search.queued(); slot++) {
      search.addTo(step, slot, 100);
    }
    // Breadth first: 1, 5, 1-2, 1-4.
    assertEquals(4, step.tokens());
    int[] token = {1, 5, 2, 4};
    int[] position = {100, 100, 101, 101};
    List<List<Integer>> path =
        List.of(List.of(100), List.of(101), List.of(100, 102), List.of(100, 103));
    for (int t = 0; t < 4; t++) {
      assertEquals(token[t], step.tokenId(t));
      assertEquals(position[t], step.position(t));
      assertEquals(100 + t, step.cacheIndex(t));
      assertEquals(100, step.prefixLength(t));
      List<Integer> ancestors = new ArrayList<>();
      for (int i = step.ancestorStart(t); i < step.ancestorStart(t + 1); i++) {
        ancestors.add(step.ancestor(i));
      }
      assertEquals(path.get(t), ancestors);
    }
  }
}
