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
import org.jspecify.annotations.Nullable;

/** {@code rmsNorm} of a slice of each row, into one or two tensors. */
@SuppressWarnings("NullAway.Init") // The fields below are one call's arguments.
final class Normalisation extends RowTasks {
  private final Lane[] lanes;

  private NativeTensor out;
  private @Nullable NativeTensor second;
  private NativeTensor x;
  private int from;
  private float[] gain;
  private float epsilon;

  Normalisation(Workers workers, Lane[] lanes) {
    super(workers);
    this.lanes = lanes;
  }

  void run(
      NativeTensor result,
      @Nullable NativeTensor secondResult,
      NativeTensor input,
      int firstColumn,
      float[] gains,
      float eps,
      int n) {
    out = result;
    second = secondResult;
    x = input;
    from = firstColumn;
    gain = gains;
    epsilon = eps;
    runRows(n, gains.length);
  }

  @Override
  void rows(int first, int end, int worker) {
    int width = gain.length;
    Lane lane = lanes[worker];
    float[] row = lane.floats(width);
    float[] normed = lane.scratch(width);
    for (int t = first; t < end; t++) {
      x.get(t, from, row, 0, width);
      RmsNorm.normalise(row, 0, gain, epsilon, normed, 0, width);
      out.put(lane, t, normed, 0, width);
      if (second != null) {
        second.put(lane, t, normed, 0, width);
      }
    }
  }
}
