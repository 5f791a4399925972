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

/** What the sampler asks of whole rows of logits. */
final class Logits {
  private static final int SCRATCH = 1024;

  private final Argmax argmax;
  private final LogProbabilities logProbabilities;

  Logits(Workers workers, Lane[] lanes) {
    argmax = new Argmax(workers);
    logProbabilities = new LogProbabilities(workers, lanes);
  }

  /** Index of each row's largest entry, the lowest of equals; NaNs are passed over. */
  void argmax(int[] out, FloatTensor logits, int n) {
    argmax.run(out, logits, n);
  }

  /** {@code out[i] = log softmax(logits[rows[i]])[tokens[i]]}, rows in non-decreasing order. */
  void logProbabilities(double[] out, FloatTensor logits, int[] rows, int[] tokens, int count) {
    logProbabilities.run(out, logits, rows, tokens, count);
  }

  @SuppressWarnings("NullAway.Init") // The fields below are one call's arguments.
  private static final class Argmax extends RowTasks {
    private int[] out;
    private FloatTensor logits;

    Argmax(Workers workers) {
      super(workers);
    }

    void run(int[] result, FloatTensor x, int n) {
      out = result;
      logits = x;
      runRows(n, x.columns());
    }

    @Override
    void rows(int first, int end, int worker) {
      int width = logits.columns();
      for (int i = first; i < end; i++) {
        float max = Rows.max(logits.values, i * width, width);
        int at = Rows.firstEqual(logits.values, i * width, width, max);
        out[i] = at < width ? at : 0;
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

    void run(double[] result, FloatTensor x, int[] rowOf, int[] tokenOf, int n) {
      out = result;
      logits = x;
      rows = rowOf;
      tokens = tokenOf;
      count = n;
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
