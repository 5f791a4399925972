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

  private NativeTensor out;
  private NativeTensor gateUp;

  Gating(Workers workers, Lane[] lanes) {
    super(workers);
    this.lanes = lanes;
  }

  void run(NativeTensor result, NativeTensor input, int n) {
    out = result;
    gateUp = input;
    runRows(n, 4L * result.columns());
  }

  @Override
  void rows(int first, int end, int worker) {
    int width = out.columns();
    Lane lane = lanes[worker];
    float[] row = lane.floats(2 * width);
    float[] scratch = lane.scratch(width);
    for (int t = first; t < end; t++) {
      gateUp.get(t, 0, row, 0, 2 * width);
      Activation.swiglu(row, 0, scratch, width);
      out.put(lane, t, row, 0, width);
    }
  }
}
