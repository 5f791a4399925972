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

import dev.moontide.cpu.vector.Activation;

/** {@code out[t] = silu(gateUp[t, :h]) · gateUp[t, h:]}. */
@SuppressWarnings("NullAway.Init") // The fields below are one call's arguments.
final class Gating extends RowTasks {
  private final Lane[] lanes;

  private OperandTensor out;
  private FloatTensor gateUp;

  Gating(Workers workers, Lane[] lanes) {
    super(workers);
    this.lanes = lanes;
  }

  void run(OperandTensor result, FloatTensor input, int n) {
    out = result;
    gateUp = input;
    runRows(n, 4L * result.columns());
  }

  @Override
  void rows(int first, int end, int worker) {
    int width = out.columns();
    Lane lane = lanes[worker];
    float[] scratch = lane.floats(width);
    for (int t = first; t < end; t++) {
      int from = t * gateUp.columns();
      Activation.swiglu(gateUp.values, from, scratch, width);
      out.put(lane, t, gateUp.values, from, width);
    }
  }
}
