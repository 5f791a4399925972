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
import dev.moontide.sampling.SeenTokens;
import dev.moontide.scheduler.ChoiceSequence;
import dev.moontide.scheduler.SampledSequence;
import dev.moontide.scheduler.ScoredSequence;
import dev.moontide.scheduler.Sequence;
import dev.moontide.tensor.LogitQueries;
import dev.moontide.tensor.Step;
import java.util.List;

/**
 * Answers a step's sequences from its logits, as many rows at a time as the model computes: asks
 * the model once for the tokens of all samples and the few log-probabilities of scores and choices.
 * Used by the engine's thread.
 */
final class LogitReader {
  private final LanguageModel model;
  private final int capacity;
  private final LogitQueries queries = new LogitQueries();
  private final SeenTokens seen;

  LogitReader(LanguageModel model) {
    this.model = model;
    capacity = model.logitCapacity();
    seen = new SeenTokens(model.vocabularySize());
  }

  /** Gives every sequence with rows of logits in {@code step} its answers. */
  void read(Step step, List<Sequence> sequences) {
    for (int first = 0; first < step.logitRows(); first += capacity) {
      int count = Math.min(capacity, step.logitRows() - first);
      model.computeLogits(first, count);
      ask(step, sequences, first, count);
      model.answer(queries);
      answer(step, sequences, first, count);
    }
  }

  private void ask(Step step, List<Sequence> sequences, int first, int count) {
    queries.clear();
    for (int row = 0; row < count; row++) {
      int token = step.logitToken(first + row);
      int entry = step.cacheIndex(token);
      Sequence sequence = sequences.get(step.sequence(token));
      if (sequence instanceof ScoredSequence scored) {
        queries.logProbability(row, scored.target(entry));
      } else if (sequence instanceof ChoiceSequence choice) {
        ChoiceSearch search = choice.search();
        ChoiceTrie trie = search.trie();
        int node = search.answerOf(entry - choice.prompt().length() + 1);
        for (int i = 0; i < trie.childCount(node); i++) {
          queries.logProbability(row, trie.token(trie.firstChild(node) + i));
        }
      } else if (sequence instanceof SampledSequence sampled) {
        sampled.ask(queries, row, seen);
      }
    }
  }

  private void answer(Step step, List<Sequence> sequences, int first, int count) {
    int query = 0;
    int drawn = 0;
    for (int row = 0; row < count; row++) {
      int token = step.logitToken(first + row);
      Sequence sequence = sequences.get(step.sequence(token));
      int end = query;
      while (end < queries.logProbabilityCount() && queries.rows()[end] == row) {
        end++;
      }
      if (sequence instanceof SampledSequence sampled) {
        LogitQueries.Draw draw = queries.draw(drawn++);
        if (draw.isAnswered()) {
          sampled.accept(draw.token());
        } else {
          failToDraw(sequence, draw, step.position(token));
        }
      } else if (sequence.isFinished()) {
        // An earlier row of this step failed it.
      } else if (!isValid(query, end)) {
        fail(sequence, step.position(token));
      } else if (sequence instanceof ScoredSequence scored) {
        scored.accept(queries.logProbabilities()[query]);
      } else if (sequence instanceof ChoiceSequence choice) {
        choice.search().answer(queries.logProbabilities(), query);
      }
      query = end;
    }
  }

  private boolean isValid(int from, int to) {
    for (int i = from; i < to; i++) {
      if (Double.isNaN(queries.logProbabilities()[i])) {
        return false;
      }
    }
    return true;
  }

  private static void failToDraw(Sequence sequence, LogitQueries.Draw draw, int position) {
    if (draw.mask() != null && draw.mask().isEmpty()) {
      sequence.fail(
          "no token may follow token "
              + position
              + ": what the output is constrained to has no continuation here; loosen it");
    } else {
      fail(sequence, position);
    }
  }

  private static void fail(Sequence sequence, int position) {
    sequence.fail(
        "the logits after token "
            + position
            + " contain NaN or are infinite: the model overflowed on this row, or its weights are"
            + " damaged (check them with moontide inspect; try --dtype f32)");
  }
}
