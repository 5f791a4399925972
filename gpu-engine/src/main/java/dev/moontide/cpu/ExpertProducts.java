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
import dev.moontide.cpu.vector.Bf16;
import dev.moontide.cpu.vector.Rows;
import dev.moontide.tensor.DType;
import dev.moontide.tensor.Tensor;

/**
 * The routed experts. A task takes the rows of one expert through {@code gate‖up}, the activation
 * and {@code down} without waiting for others, and leaves each row in its slot; then each token's
 * slots are summed in ascending order of expert, whatever order they were computed in.
 */
@SuppressWarnings("NullAway.Init") // The fields below are one call's arguments.
final class ExpertProducts {
  /** Numbers in the slots of a range of tokens, 16 MiB: about what a shared cache holds. */
  private static final int SLOT_ELEMENTS = 1 << 22;

  private static final int FEWEST_TOKENS = 64;

  private final Workers workers;
  private final Lane[] lanes;
  private final ExpertTasks tasks = new ExpertTasks();
  private final Workers.Body product = this::product;
  private final SlotSums sums;
  private float[] slots = new float[0];

  private FloatTensor out;
  private Tensor x;
  private TokenRouting routing;
  private ExpertWeights experts;
  private int firstToken;

  ExpertProducts(Workers workers, Lane[] lanes) {
    this.workers = workers;
    this.lanes = lanes;
    sums = new SlotSums(workers);
  }

  /** {@code out[t] += Σ_k weight_k · expert_k(x[t])}. */
  void run(FloatTensor result, Tensor operand, TokenRouting routes, ExpertWeights weights, int n) {
    out = result;
    x = operand;
    routing = routes;
    experts = weights;
    int slotsPerToken = routes.topK() * result.columns();
    int range = Math.max(FEWEST_TOKENS, SLOT_ELEMENTS / slotsPerToken);
    int needed = Math.multiplyExact(Math.min(n, range), slotsPerToken);
    if (slots.length < needed) {
      slots = new float[needed];
    }
    for (firstToken = 0; firstToken < n; firstToken += range) {
      int tokens = Math.min(range, n - firstToken);
      tasks.group(routes, weights.count(), firstToken, tokens);
      workers.run(tasks.count(), product);
      sums.runRows(tokens, slotsPerToken);
    }
  }

  private void product(int task, int worker) {
    Lane lane = lanes[worker];
    int expert = tasks.expert(task);
    int rows = tasks.rows(task);
    int hidden = out.columns();
    int intermediate = experts.intermediate();
    lane.source.reserve((long) rows * Math.max(hidden, intermediate) * DType.F32.bytes());
    lane.target.reserve((long) rows * Math.max(hidden, 2 * intermediate) * DType.F32.bytes());
    long source = lane.source.address();
    long target = lane.target.address();
    for (int r = 0; r < rows; r++) {
      Staging.row(lane, x, firstToken + tasks.slot(task, r) / routing.topK(), r);
    }
    experts.gateUp().multiply(lane, rows, source, experts.gateUpAddress(expert), target);
    activate(lane, rows, intermediate);
    experts.down().multiply(lane, rows, source, experts.downAddress(expert), target);
    for (int r = 0; r < rows; r++) {
      lane.target.floats().get(r * hidden, slots, tasks.slot(task, r) * hidden, hidden);
    }
  }

  /** From {@code gate‖up} in the target tile to the operand of {@code down} in the source tile. */
  private void activate(Lane lane, int rows, int intermediate) {
    int n = rows * intermediate;
    float[] gateUp = lane.floats(2 * n);
    lane.target.floats().get(0, gateUp, 0, 2 * n);
    float[] scratch = lane.scratch(intermediate);
    for (int r = 0; r < rows; r++) {
      Activation.swiglu(gateUp, 2 * r * intermediate, scratch, intermediate);
    }
    if (x instanceof Bf16Tensor) {
      short[] activated = lane.shorts(n);
      for (int r = 0; r < rows; r++) {
        Bf16.fromFloats(gateUp, 2 * r * intermediate, activated, r * intermediate, intermediate);
      }
      lane.source.shorts().put(0, activated, 0, n);
    } else {
      for (int r = 0; r < rows; r++) {
        lane.source.floats().put(r * intermediate, gateUp, 2 * r * intermediate, intermediate);
      }
    }
  }

  /** Adds each token's slots, weighted, to the output. */
  private final class SlotSums extends RowTasks {
    SlotSums(Workers workers) {
      super(workers);
    }

    @Override
    void rows(int first, int end, int worker) {
      int hidden = out.columns();
      int topK = routing.topK();
      for (int i = first; i < end; i++) {
        int t = firstToken + i;
        Rows.addWeighted(
            out.values,
            t * hidden,
            slots,
            i * topK * hidden,
            hidden,
            routing.weights,
            t * topK,
            topK);
      }
    }
  }
}
