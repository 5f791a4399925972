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

import dev.moontide.cpu.vector.RmsNorm;
import dev.moontide.tensor.Tensor;

/** {@code rmsNorm} of a slice of each row, into either kind of tensor. */
@SuppressWarnings("NullAway.Init") // The fields below are one call's arguments.
final class Normalisation extends RowTasks {
  private final Lane[] lanes;

  private Tensor out;
  private FloatTensor x;
  private int from;
  private float[] gain;
  private float epsilon;

  Normalisation(Workers workers, Lane[] lanes) {
    super(workers);
    this.lanes = lanes;
  }

  void run(Tensor result, FloatTensor input, int firstColumn, float[] gains, float eps, int n) {
    out = result;
    x = input;
    from = firstColumn;
    gain = gains;
    epsilon = eps;
    runRows(n, gains.length);
  }

  @Override
  void rows(int first, int end, int worker) {
    int width = gain.length;
    for (int t = first; t < end; t++) {
      int at = t * x.columns() + from;
      if (out instanceof OperandTensor operand) {
        float[] row = lanes[worker].floats(width);
        RmsNorm.normalise(x.values, at, gain, epsilon, row, 0, width);
        operand.put(lanes[worker], t, row, 0, width);
      } else {
        float[] values = ((FloatTensor) out).values;
        RmsNorm.normalise(x.values, at, gain, epsilon, values, t * out.columns(), width);
      }
    }
  }
}
