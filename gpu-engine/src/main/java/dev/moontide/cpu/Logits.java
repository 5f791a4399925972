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
package dev.moontide.cpu;

import dev.moontide.cpu.vector.Rows;
import dev.moontide.cpu.vector.Softmax;
import dev.moontide.sampling.Sampler;
import dev.moontide.tensor.LogitQueries;
import org.jspecify.annotations.Nullable;

/** Answers what is asked of whole rows of logits. */
final class Logits {
  private static final int SCRATCH = 1024;

  private final Draws draws;
  private final LogProbabilities logProbabilities;

  Logits(Workers workers, Lane[] lanes) {
    draws = new Draws(workers, lanes.length);
    logProbabilities = new LogProbabilities(workers, lanes);
  }

  void answer(LogitQueries queries, FloatTensor logits) {
    logProbabilities.run(queries, logits);
    draws.run(queries, logits);
  }

  @SuppressWarnings("NullAway.Init") // The fields below are one call's arguments.
  private static final class Draws extends RowTasks {
    /** By worker, made when it first draws. */
    private final @Nullable Sampler[] samplers;

    private LogitQueries queries;
    private FloatTensor logits;

    Draws(Workers workers, int count) {
      super(workers);
      samplers = new Sampler[count];
    }

    void run(LogitQueries asked, FloatTensor x) {
      queries = asked;
      logits = x;
      runRows(asked.draws(), x.columns());
    }

    @Override
    void rows(int first, int end, int worker) {
      Sampler sampler = samplers[worker];
      if (sampler == null || sampler.vocabularySize() != logits.columns()) {
        sampler = new Sampler(logits.columns());
        samplers[worker] = sampler;
      }
      for (int i = first; i < end; i++) {
        sampler.draw(queries, i, logits.values, queries.draw(i).row() * logits.columns());
      }
    }
  }

  @SuppressWarnings("NullAway.Init") // The fields below are one call's arguments.
  private static final class LogProbabilities extends RowTasks {
    private final Lane[] lanes;
    private double[] out;
    private FloatTensor logits;
    private int[] rows;
    private int[] tokens;
    private int count;
    private int[] starts = new int[0];

    LogProbabilities(Workers workers, Lane[] lanes) {
      super(workers);
      this.lanes = lanes;
    }

    void run(LogitQueries queries, FloatTensor x) {
      out = queries.logProbabilities();
      logits = x;
      rows = queries.rows();
      tokens = queries.tokens();
      count = queries.logProbabilityCount();
      runRows(distinctRows(), 8L * x.columns());
    }

    /** Finds where each distinct row's entries start. */
    private int distinctRows() {
      if (starts.length < count) {
        starts = new int[count];
      }
      int distinct = 0;
      for (int i = 0; i < count; i++) {
        if (i == 0 || rows[i] != rows[i - 1]) {
          starts[distinct++] = i;
        }
      }
      return distinct;
    }

    @Override
    void rows(int first, int end, int worker) {
      int width = logits.columns();
      for (int r = first; r < end; r++) {
        int i = starts[r];
        int row = rows[i];
        int from = row * width;
        float max = Rows.max(logits.values, from, width);
        float[] scratch = lanes[worker].floats(SCRATCH);
        double log = Math.log(Softmax.sumOfExponentials(logits.values, from, width, max, scratch));
        for (; i < count && rows[i] == row; i++) {
          out[i] = (double) logits.values[from + tokens[i]] - max - log;
        }
      }
    }
  }
}
