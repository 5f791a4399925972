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
package dev.moontide.cuda;

import java.util.EnumMap;
import java.util.Map;
import java.util.Objects;

/**
 * The routed experts: token-expert pairs are ordered by expert, multiplied in tiles of one expert
 * each, and added up by token in ascending order of expert.
 */
final class ExpertProducts implements RoutedProducts {
  /** Pairs an expert up to which tiles of 16 waste less than tiles of 64. */
  private static final int FEW_PAIRS = 32;

  private final Execution run;
  private final RowOperations rows;
  private final PairOrder order;
  private final Map<WeightForm, Products.Pair> gateUp = new EnumMap<>(WeightForm.class);
  private final Map<WeightForm, Products.Pair> down = new EnumMap<>(WeightForm.class);

  ExpertProducts(Execution run, RowOperations rows) {
    this.run = run;
    this.rows = rows;
    order = new PairOrder(run);
    for (WeightForm form : new WeightForm[] {WeightForm.BF16, WeightForm.FP8, WeightForm.INT4}) {
      gateUp.put(form, Products.Pair.of(run.kernels, "gate_up_" + form.kernelName()));
      down.put(form, Products.Pair.of(run.kernels, "down_" + form.kernelName()));
    }
  }

  /** Scratch for steps of up to {@code capacity} tokens. */
  static long scratchBytes(WeightLayout gateUp, WeightLayout down, int capacity, int topK) {
    long pairs = (long) capacity * topK;
    long bytes =
        Arena.rounded(pairs * down.columns() * Short.BYTES)
            + Arena.rounded(pairs * down.rows() * Float.BYTES);
    if (gateUp.form() == WeightForm.FP8) {
      bytes += RowOperations.quantizedBytes(capacity, gateUp.columns());
    }
    if (down.form() == WeightForm.FP8) {
      bytes += RowOperations.quantizedBytes(pairs, down.columns());
    }
    return bytes;
  }

  @Override
  public void run(CudaTensor out, CudaTensor x, CudaRouting routing, CudaExperts experts, int n) {
    int pairs = n * routing.topK();
    int tile = pairs <= FEW_PAIRS * experts.count() ? 16 : 64;
    int tiles = order.run(routing, pairs, experts.count(), tile).count();

    WeightLayout first = experts.gateUp().layout();
    WeightLayout second = experts.down().layout();
    int capacity = routing.capacity();
    long maxPairs = (long) capacity * routing.topK();
    run.scratch.begin(scratchBytes(first, second, capacity, routing.topK()));
    long products = run.scratch.take(maxPairs * second.columns() * Short.BYTES);
    long results = run.scratch.take(maxPairs * second.rows() * Float.BYTES);

    Operand input = operand(first, x.memory().address(), capacity, n);
    grouped(
        Objects.requireNonNull(gateUp.get(first.form())).choose(tile),
        routing,
        input,
        experts.gateUp(),
        products,
        second.columns(),
        tiles);
    Operand middle = operand(second, products, maxPairs, pairs);
    grouped(
        Objects.requireNonNull(down.get(second.form())).choose(tile),
        routing,
        middle,
        experts.down(),
        results,
        second.rows(),
        tiles);
    order.combine(out, results, routing, n);
  }

  /** Activations as a product takes them: bf16, or FP8 with scales. */
  private record Operand(long values, long scales) {}

  private Operand operand(WeightLayout weight, long x, long capacity, int n) {
    if (weight.form() != WeightForm.FP8) {
      return new Operand(x, 0);
    }
    int columns = weight.columns();
    long values = run.scratch.take(capacity * columns);
    long scales = run.scratch.take(capacity * RowOperations.groups(columns) * Float.BYTES);
    rows.quantize(values, scales, x, columns, n);
    return new Operand(values, scales);
  }

  private void grouped(
      Kernel kernel,
      CudaRouting routing,
      Operand x,
      CudaWeight w,
      long out,
      int columns,
      int tiles) {
    WeightLayout layout = w.layout();
    // INT4 is addressed by words of eight.
    long stride = layout.form() == WeightForm.INT4 ? layout.elements() / 8 : layout.elements();
    run.launcher
        .of(kernel)
        .pointer(x.values())
        .pointer(x.scales())
        .pointer(w.values())
        .pointer(w.scales())
        .pointer(out)
        .pointer(routing.token())
        .pointer(routing.tileExpert())
        .pointer(routing.tileRow())
        .pointer(routing.tileEnd())
        .wide(stride)
        .wide(layout.scales())
        .integer(columns)
        .integer(layout.columns())
        .integer(layout.blockRows())
        .integer(layout.group())
        .grid(Products.tiles(columns, Products.TILE_COLUMNS), tiles, 1);
  }
}
