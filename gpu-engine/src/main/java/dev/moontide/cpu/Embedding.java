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

import dev.moontide.tensor.Step;

/** {@code x[t] = table[tokenId(t)]}. */
@SuppressWarnings("NullAway.Init") // The fields below are one call's arguments.
final class Embedding extends RowTasks {
  private final Lane[] lanes;

  private NativeTensor x;
  private TableWeight table;
  private Step step;

  Embedding(Workers workers, Lane[] lanes) {
    super(workers);
    this.lanes = lanes;
  }

  void run(NativeTensor out, TableWeight weight, Step tokens) {
    x = out;
    table = weight;
    step = tokens;
    runRows(tokens.tokens(), weight.columns());
  }

  @Override
  void rows(int first, int end, int worker) {
    Lane lane = lanes[worker];
    int columns = table.columns();
    short[] scratch = lane.shorts(columns);
    float[] row = lane.floats(columns);
    for (int t = first; t < end; t++) {
      table.read(step.tokenId(t), row, 0, scratch);
      x.put(lane, t, row, 0, columns);
    }
  }
}
