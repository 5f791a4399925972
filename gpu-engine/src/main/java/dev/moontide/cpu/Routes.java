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

import dev.moontide.tensor.DType;
import dev.moontide.tensor.Router;

/** The router: the gate's product in float32, then each token's {@link ExpertChoice}. */
@SuppressWarnings("NullAway.Init") // The fields below are one call's arguments.
final class Routes extends RowTasks {
  private final Lane[] lanes;
  private final ExpertChoice[] choices;

  private TokenRouting routing;
  private NativeTensor x;
  private PackedWeight gate;
  private float[] bias;
  private Router router;

  Routes(Workers workers, Lane[] lanes) {
    super(workers);
    this.lanes = lanes;
    choices = new ExpertChoice[lanes.length];
    for (int i = 0; i < choices.length; i++) {
      choices[i] = new ExpertChoice();
    }
  }

  void run(
      TokenRouting result, NativeTensor input, PackedWeight weight, float[] b, Router r, int n) {
    routing = result;
    x = input;
    gate = weight;
    bias = b;
    router = r;
    runRows(n, (long) weight.columns() * (1 + weight.rows() / 32));
  }

  @Override
  void rows(int first, int end, int worker) {
    Lane lane = lanes[worker];
    int experts = router.experts();
    for (int start = first; start < end; start += MatmulKernel.MAX_ROWS) {
      int count = Math.min(MatmulKernel.MAX_ROWS, end - start);
      lane.target.reserve((long) Lane.paddedRows(count) * experts * DType.F32.bytes());
      gate.panels().multiply(lane, count, x.address(start), gate.address(), lane.target.address());
      float[] logits = lane.floats(count * experts);
      lane.target.floats().get(0, logits, 0, count * experts);
      for (int r = 0; r < count; r++) {
        choices[worker].choose(logits, r * experts, bias, router, routing, start + r);
      }
    }
  }
}
