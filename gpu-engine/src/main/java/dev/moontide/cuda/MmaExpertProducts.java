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

/**
 * The routed experts by {@code mma.sync}: the same order as on the simple path, activations in
 * bf16, SwiGLU within the first product.
 */
final class MmaExpertProducts implements RoutedProducts {
  /** Pairs an expert, on average, up to which the width of few tokens is the fastest. */
  private static final int FEW_PAIRS = 6;

  /** Likewise for the next widths. */
  private static final int SEVERAL_PAIRS = 12;

  private static final int SOME_PAIRS = 128;

  private final Execution run;
  private final MmaKernels kernels;
  private final PairOrder order;

  MmaExpertProducts(Execution run, MmaKernels kernels) {
    this.run = run;
    this.kernels = kernels;
    order = new PairOrder(run);
  }

  /** Scratch for steps of up to {@code capacity} tokens. */
  static long scratchBytes(WeightLayout down, int capacity, int topK) {
    long pairs = (long) capacity * topK;
    return Arena.rounded(pairs * down.columns() * Short.BYTES)
        + Arena.rounded(pairs * down.rows() * Float.BYTES);
  }

  private static MmaKernels.Width width(int pairs, int experts) {
    if (pairs <= FEW_PAIRS * experts) {
      return MmaKernels.Width.FEW;
    } else if (pairs <= SEVERAL_PAIRS * experts) {
      return MmaKernels.Width.SEVERAL;
    }
    return pairs <= SOME_PAIRS * experts ? MmaKernels.Width.SOME : MmaKernels.Width.MANY;
  }

  @Override
  public void run(CudaTensor out, CudaTensor x, CudaRouting routing, CudaExperts experts, int n) {
    int pairs = n * routing.topK();
    MmaKernels.Width width = width(pairs, experts.count());
    PairOrder.Tiles tiles = order.run(routing, pairs, experts.count(), width.tokens);

    WeightLayout down = experts.down().layout();
    int capacity = routing.capacity();
    long maxPairs = (long) capacity * routing.topK();
    run.scratch.begin(scratchBytes(down, capacity, routing.topK()));
    long middle = run.scratch.take(maxPairs * down.columns() * Short.BYTES);
    long results = run.scratch.take(maxPairs * down.rows() * Float.BYTES);
    kernels.runGrouped(
        new MmaKernels.Product(
            x.memory().address(), experts.gateUp(), middle, down.columns(), true, false),
        width,
        routing.token().address(),
        tiles);
    kernels.runGrouped(
        new MmaKernels.Product(middle, experts.down(), results, down.rows(), false, false),
        width,
        0,
        tiles);
    order.combine(out, results, routing, n);
  }
}
