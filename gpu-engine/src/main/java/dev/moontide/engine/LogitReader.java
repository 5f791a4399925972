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
package dev.moontide.engine;

import dev.moontide.constraint.ChoiceSearch;
import dev.moontide.constraint.ChoiceTrie;
import dev.moontide.model.LanguageModel;
import dev.moontide.sampling.Sampler;
import dev.moontide.scheduler.ChoiceSequence;
import dev.moontide.scheduler.SampledSequence;
import dev.moontide.scheduler.ScoredSequence;
import dev.moontide.scheduler.Sequence;
import dev.moontide.tensor.Step;
import java.util.Arrays;
import java.util.List;

/**
 * Answers a step's sequences from its logits, as many rows at a time as the model computes. Greedy
 * rows need only the position of the maximum, scores and choices only a few log-probabilities; a
 * row is copied to the heap only to draw from it or to penalise it. Used by the engine's thread.
 */
final class LogitReader {
  private final LanguageModel model;
  private final int capacity;
  private final int[] argmax;

  private final Sampler sampler;

  /** Log-probabilities asked of the model for the rows at hand, in ascending order of row. */
  private int[] rows = new int[256];

  private int[] tokens = new int[256];
  private double[] logProbabilities = new double[256];
  private int queries;

  LogitReader(LanguageModel model) {
    this.model = model;
    capacity = model.logitCapacity();
    argmax = new int[capacity];
    sampler = new Sampler(model.vocabularySize());
  }

  /** Gives every sequence with rows of logits in {@code step} its answers. */
  void read(Step step, List<Sequence> sequences) {
    for (int first = 0; first < step.logitRows(); first += capacity) {
      int count = Math.min(capacity, step.logitRows() - first);
      model.computeLogits(first, count);
      ask(step, sequences, first, count);
      answer(step, sequences, first, count);
    }
  }

  private void ask(Step step, List<Sequence> sequences, int first, int count) {
    queries = 0;
    boolean isArgmaxKnown = false;
    for (int row = 0; row < count; row++) {
      int token = step.logitToken(first + row);
      int entry = step.cacheIndex(token);
      Sequence sequence = sequences.get(step.sequence(token));
      if (sequence instanceof ScoredSequence scored) {
        query(row, scored.target(entry));
      } else if (sequence instanceof ChoiceSequence choice) {
        ChoiceSearch search = choice.search();
        ChoiceTrie trie = search.trie();
        int node = search.answerOf(entry - choice.prompt().length() + 1);
        for (int i = 0; i < trie.childCount(node); i++) {
          query(row, trie.token(trie.firstChild(node) + i));
        }
      } else if (sequence instanceof SampledSequence sampled && sampled.isArgmax()) {
        if (!isArgmaxKnown) {
          model.argmax(argmax);
          isArgmaxKnown = true;
        }
        // Its log-probability is NaN if any of the row is, which the maximum need not show.
        query(row, argmax[row]);
      }
    }
    if (queries > 0) {
      model.logProbabilities(logProbabilities, rows, tokens, queries);
    }
  }

  private void query(int row, int token) {
    if (queries == rows.length) {
      rows = Arrays.copyOf(rows, 2 * queries);
      tokens = Arrays.copyOf(tokens, 2 * queries);
      logProbabilities = new double[2 * queries];
    }
    rows[queries] = row;
    tokens[queries++] = token;
  }

  private void answer(Step step, List<Sequence> sequences, int first, int count) {
    int query = 0;
    for (int row = 0; row < count; row++) {
      int token = step.logitToken(first + row);
      Sequence sequence = sequences.get(step.sequence(token));
      int end = query;
      while (end < queries && rows[end] == row) {
        end++;
      }
      if (sequence.isFinished()) {
        // An earlier row of this step failed it.
      } else if (!isValid(query, end)) {
        fail(sequence, step.position(token));
      } else if (sequence instanceof ScoredSequence scored) {
        scored.accept(logProbabilities[query]);
      } else if (sequence instanceof ChoiceSequence choice) {
        choice.search().answer(logProbabilities, query);
      } else if (sequence instanceof SampledSequence sampled) {
        if (sampled.isArgmax()) {
          sampled.accept(argmax[row]);
        } else {
          draw(sampled, row, step.position(token));
        }
      }
      query = end;
    }
  }

  private void draw(SampledSequence sequence, int row, int position) {
    model.readLogits(row, sampler.logits());
    if (sampler.isDrawable()) {
      sequence.accept(sequence.draw(sampler));
    } else {
      fail(sequence, position);
    }
  }

  private boolean isValid(int from, int to) {
    for (int i = from; i < to; i++) {
      if (Double.isNaN(logProbabilities[i])) {
        return false;
      }
    }
    return true;
  }

  private static void fail(Sequence sequence, int position) {
    sequence.fail(
        "the logits after token "
            + position
            + " contain NaN or are infinite: the model overflowed on this row, or its weights are"
            + " damaged (check them with moontide inspect; try --dtype f32)");
  }
}
