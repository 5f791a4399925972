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

import dev.moontide.tensor.Step;
import java.util.Arrays;

/**
 * The probabilities of one prompt's choices, found by evaluating trie nodes in rounds. A node is
 * evaluated by computing its token on top of the prompt and its path, which gives the probabilities
 * of all its children; a leaf needs no evaluation.
 *
 * <p>Nodes are queued, computed and answered in one order, the queue's; a node's place in it, its
 * slot, is also its cache entry, counted from the end of the prompt. A round is decided only when
 * the queue is answered, from this prompt's numbers alone, so how the queue was cut into steps
 * changes nothing.
 *
 * <p><b>Which nodes.</b> Let {@code L} be the sum of the choices known and {@code R} that of the
 * paths to unevaluated nodes (times the most choices that end on one path: 1 where none begins
 * another). The choices below a node share its path's probability, so the sum over all choices lies
 * between {@code L} and {@code L + R}; once {@code R ≤ tolerance · L} no probability normalised
 * over {@code L} is off by more than the tolerance, and the search ends. Until then a round takes
 * the most probable nodes, as many as leave at most {@code tolerance · (L + R)}: {@code L} can end
 * no larger. If that is none, it takes those within a factor 4 of the largest.
 *
 * <p>Sums are over logarithms: {@code p} may underflow a double.
 */
public final class ChoiceSearch {
  private static final double WITHIN = StrictMath.log(4);

  private final ChoiceTrie trie;
  private final double tolerance;

  /** log p of each node's path, valid once its parent is answered. */
  private final double[] logProbability;

  private final boolean[] isQueued;
  private final int[] slot;
  private int[] queue;
  private int queued;
  private int answered;

  /** Inner nodes with a known path that are not queued. */
  private int[] frontier = new int[8];

  private int frontierSize;

  /** log L. */
  private double logKnown = Double.NEGATIVE_INFINITY;

  private final double[] choiceLogProbability;
  private final int[] path;

  /**
   * @param tolerance most that a choice's normalised probability may be off; 0 queues every inner
   *     node at once
   */
  public ChoiceSearch(ChoiceTrie trie, double tolerance) {
    this.trie = trie;
    this.tolerance = tolerance;
    logProbability = new double[trie.nodes()];
    isQueued = new boolean[trie.nodes()];
    slot = new int[trie.nodes()];
    queue = new int[tolerance == 0 ? trie.innerNodes() : 8];
    path = new int[trie.maxDepth()];
    choiceLogProbability = new double[trie.choices().size()];
    Arrays.fill(choiceLogProbability, Double.NEGATIVE_INFINITY);
    isQueued[0] = true;
    if (tolerance == 0) {
      for (int node = 1; node < trie.nodes(); node++) {
        if (isInner(node)) {
          enqueue(node);
        }
      }
    } else {
      enqueueForced(0);
    }
  }

  public ChoiceTrie trie() {
    return trie;
  }

  /** Nodes queued so far, beside the root. */
  public int queued() {
    return queued;
  }

  /** Nodes answered so far, the root included. */
  public int answered() {
    return answered;
  }

  /** Whether every choice's probability is known or within the tolerance of 0. */
  public boolean isFinished() {
    return answered == queued + 1;
  }

  /** The node whose answer comes {@code index}-th: the root, then the queue. */
  public int answerOf(int index) {
    return index == 0 ? 0 : queue[index - 1];
  }

  /** Adds the node in {@code slot} to a step, on top of a prompt of {@code promptLength} tokens. */
  public void addTo(Step step, int slot, int promptLength) {
    int node = queue[slot];
    int ancestors = trie.depth(node) - 1;
    int ancestor = node;
    for (int i = ancestors - 1; i >= 0; i--) {
      ancestor = trie.parent(ancestor);
      path[i] = promptLength + this.slot[ancestor];
    }
    step.addTreeToken(
        trie.token(node),
        promptLength + ancestors,
        promptLength + slot,
        promptLength,
        path,
        ancestors);
  }

  /**
   * Takes the next answer: the log-probabilities of the children of {@link #answerOf}({@link
   * #answered()}), in their order, from {@code logProbabilities[from]} on.
   */
  public void answer(double[] logProbabilities, int from) {
    int node = answerOf(answered++);
    int first = trie.firstChild(node);
    for (int i = 0; i < trie.childCount(node); i++) {
      reach(first + i, logProbability[node] + logProbabilities[from + i]);
    }
    if (isFinished()) {
      nextRound();
    }
  }

  private void reach(int node, double logP) {
    logProbability[node] = logP;
    if (trie.isTerminal(node)) {
      choiceLogProbability[trie.choice(node)] = logP;
      logKnown = logSum(logKnown, logP);
    }
    if (isInner(node) && !isQueued[node]) {
      if (frontierSize == frontier.length) {
        frontier = Arrays.copyOf(frontier, 2 * frontierSize);
      }
      frontier[frontierSize++] = node;
    }
  }

  private void nextRound() {
    double threshold = threshold();
    int kept = 0;
    int open = frontierSize;
    for (int i = 0; i < open; i++) {
      int node = frontier[i];
      if (logProbability[node] >= threshold) {
        enqueue(node);
        enqueueForced(node);
      } else {
        frontier[kept++] = node;
      }
    }
    frontierSize = kept;
  }

  /** The least probable path that the next round takes; infinity if the search is at its end. */
  private double threshold() {
    if (frontierSize == 0) {
      return Double.POSITIVE_INFINITY;
    }
    double[] ascending = new double[frontierSize];
    for (int i = 0; i < frontierSize; i++) {
      ascending[i] = logProbability[frontier[i]];
    }
    Arrays.sort(ascending);
    double logOpen = Double.NEGATIVE_INFINITY;
    for (double logP : ascending) {
      logOpen = logSum(logOpen, logP);
    }
    // Choices that begin one another share a path: below it they have as many times its mass.
    double logNested = StrictMath.log(trie.mostOnAPath());
    double logTolerance = StrictMath.log(tolerance) - logNested;
    if (logOpen <= logTolerance + logKnown) {
      return Double.POSITIVE_INFINITY;
    }
    double logLeft = Double.NEGATIVE_INFINITY;
    double logAllowed = logTolerance + logSum(logKnown, logNested + logOpen);
    for (double logP : ascending) {
      logLeft = logSum(logLeft, logP);
      if (logLeft > logAllowed) {
        return logP;
      }
    }
    return ascending[frontierSize - 1] - WITHIN;
  }

  /** A path without a fork has one continuation: it is queued whole. */
  private void enqueueForced(int from) {
    int node = from;
    while (trie.childCount(node) == 1 && isInner(trie.firstChild(node))) {
      node = trie.firstChild(node);
      enqueue(node);
    }
  }

  private void enqueue(int node) {
    if (queued == queue.length) {
      queue = Arrays.copyOf(queue, 2 * queued);
    }
    isQueued[node] = true;
    slot[node] = queued;
    queue[queued++] = node;
  }

  /** Heap its arrays take, about. */
  public long bytes() {
    return 20L * trie.nodes() + 8L * choiceLogProbability.length;
  }

  private boolean isInner(int node) {
    return trie.childCount(node) > 0;
  }

  /** log(e^a + e^b). */
  private static double logSum(double a, double b) {
    double high = Math.max(a, b);
    double low = Math.min(a, b);
    return low == Double.NEGATIVE_INFINITY
        ? high
        : high + StrictMath.log1p(StrictMath.exp(low - high));
  }

  /** Each choice's probability, normalised over those known; 0 for the others. */
  public double[] probabilities() {
    double[] result = new double[choiceLogProbability.length];
    double largest = Double.NEGATIVE_INFINITY;
    for (double logP : choiceLogProbability) {
      largest = Math.max(largest, logP);
    }
    double sum = 0;
    for (int i = 0; i < result.length; i++) {
      result[i] = StrictMath.exp(choiceLogProbability[i] - largest);
      sum += result[i];
    }
    for (int i = 0; i < result.length; i++) {
      result[i] /= sum;
    }
    return result;
  }
}
