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
import dev.moontide.cpu.vector.Rows;
import dev.moontide.tensor.DType;

/**
 * The routed experts. A task takes the rows of one expert through {@code gate‖up}, the activation
 * and {@code down} without waiting for others, and leaves each row in its slot; then each token's
 * slots are summed in ascending order of expert, whatever order they were computed in.
 */
@SuppressWarnings("NullAway.Init") // The fields below are one call's arguments.
final class ExpertProducts implements AutoCloseable {
  /** Numbers in the slots of a range of tokens, 16 MiB: about what a shared cache holds. */
  private static final int SLOT_ELEMENTS = 1 << 22;

  private static final int FEWEST_TOKENS = 64;

  private final Workers workers;
  private final Lane[] lanes;
  private final ExpertTasks tasks = new ExpertTasks();
  private final Workers.Body product = this::product;
  private final SlotSums sums;
  private final DType type;

  /**
   * What {@code down} gave each pair of token and expert, by the tasks' {@link ExpertTasks#place}.
   */
  private final Tile results = new Tile();

  private NativeTensor out;
  private NativeTensor x;
  private TokenRouting routing;
  private ExpertWeights experts;
  private int firstToken;

  ExpertProducts(Workers workers, Lane[] lanes, DType type) {
    this.type = type;
    this.workers = workers;
    this.lanes = lanes;
    sums = new SlotSums(workers);
  }

  /** {@code out[t] += Σ_k weight_k · expert_k(x[t])}. */
  void run(
      NativeTensor result,
      NativeTensor operand,
      TokenRouting routes,
      ExpertWeights weights,
      int n) {
    out = result;
    x = operand;
    routing = routes;
    experts = weights;
    int slotsPerToken = routes.topK() * result.columns();
    int range = Math.max(FEWEST_TOKENS, SLOT_ELEMENTS / slotsPerToken);
    for (firstToken = 0; firstToken < n; firstToken += range) {
      int tokens = Math.min(range, n - firstToken);
      tasks.group(routes, weights.count(), firstToken, tokens);
      results.reserve((long) tasks.places() * result.columns() * DType.F32.bytes());
      workers.run(tasks.count(), product);
      sums.runRows(tokens, slotsPerToken);
    }
  }

  private void product(int task, int worker) {
    Lane lane = lanes[worker];
    int expert = tasks.expert(task);
    int rows = tasks.rows(task);
    int padded = Lane.paddedRows(rows);
    int hidden = out.columns();
    int intermediate = experts.intermediate();
    lane.source.reserve((long) padded * Math.max(hidden, intermediate) * DType.F32.bytes());
    lane.target.reserve((long) padded * 2 * intermediate * DType.F32.bytes());
    long source = lane.source.address();
    long target = lane.target.address();
    for (int r = 0; r < rows; r++) {
      x.copyRow(firstToken + tasks.slot(task, r) / routing.topK(), lane.source, r);
    }
    experts.gateUp().multiply(lane, rows, source, experts.gateUpAddress(expert), target);
    activate(lane, rows, intermediate);
    long to = results.address() + (long) tasks.firstPlace(task) * hidden * DType.F32.bytes();
    experts.down().multiply(lane, rows, source, experts.downAddress(expert), to);
  }

  /** From {@code gate‖up} in the target tile to the operand of {@code down} in the source tile. */
  private void activate(Lane lane, int rows, int intermediate) {
    float[] gateUp = lane.floats(2 * intermediate);
    float[] scratch = lane.scratch(intermediate);
    for (int r = 0; r < rows; r++) {
      lane.target.floats().get(2 * r * intermediate, gateUp, 0, 2 * intermediate);
      Activation.swiglu(gateUp, 0, scratch, intermediate);
      Staging.floats(lane, type, gateUp, intermediate, lane.source, r * intermediate);
    }
  }

  @Override
  public void close() {
    results.close();
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
      Lane lane = lanes[worker];
      float[] sum = lane.floats(hidden);
      float[] slot = lane.scratch(hidden);
      for (int i = first; i < end; i++) {
        int t = firstToken + i;
        out.get(t, 0, sum, 0, hidden);
        for (int k = 0; k < topK; k++) {
          results.floats().get(tasks.place(i * topK + k) * hidden, slot, 0, hidden);
          Rows.addWeighted(sum, slot, hidden, routing.weights[t * topK + k]);
        }
        out.put(lane, t, sum, 0, hidden);
      }
    }
  }
}
