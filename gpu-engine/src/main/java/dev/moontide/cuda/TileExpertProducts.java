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
 * The routed experts on tiles ({@code hopper/moe.cu}): a token's row is copied to a slot for each
 * of its experts, slots lie by expert, results are added up by token in ascending order of expert.
 */
final class TileExpertProducts {
  private static final int THREADS = 256;
  private static final int SCAN_THREADS = 1024;
  private static final int BLOCK_TOKENS = 128;
  private static final int COLUMNS = 1024;
  private static final int MASK_BYTES = 16;
  private static final int GROUP_BYTES = 16;
  private static final int SMALLEST_TILE = 16;

  /** What the kernels take. */
  static final int MAX_EXPERTS = 1024;

  static final int MAX_TOP_K = 32;

  private final Execution run;
  private final TileProducts products;
  private final Kernel count;
  private final Kernel scan;
  private final Kernel scatter;
  private final Kernel gather;
  private final Kernel combine;

  TileExpertProducts(Execution run, Kernels kernels, TileProducts products) {
    this.run = run;
    this.products = products;
    count = kernels.kernel("moe_count", THREADS, MAX_EXPERTS * MASK_BYTES);
    scan = kernels.kernel("moe_scan", SCAN_THREADS);
    scatter = kernels.kernel("moe_scatter", THREADS, MAX_EXPERTS * MASK_BYTES);
    gather = kernels.kernel("moe_gather", THREADS);
    combine = kernels.kernel("moe_combine", THREADS);
  }

  /** Slots of {@code tokens}: every expert's begin at a multiple of 8. */
  static int slots(int tokens, int topK, int experts) {
    int pairs = Math.multiplyExact(tokens, topK);
    return (int) Tiles.panelRows(pairs + 7L * Math.min(experts, pairs));
  }

  private static int groups(int tokens, int topK, int experts, int tileRows) {
    int pairs = tokens * topK;
    return pairs / tileRows + Math.min(experts, pairs);
  }

  /** Rows of a tile where {@code pairs} go to {@code experts}: by the rows of one. */
  static int tileRows(int pairs, int experts) {
    int each = pairs / experts;
    return each <= 6 ? 16 : each <= 28 ? 32 : each <= 100 ? 64 : 128;
  }

  /** Scratch for steps of up to {@code tokens}. */
  static long scratchBytes(TileLayout gateUp, TileLayout down, int tokens, int topK, int experts) {
    long slots = slots(tokens, topK, experts);
    return Arena.rounded(Tiles.panelBytes(slots, gateUp.kBlocks()))
        + Arena.rounded(Tiles.scaleBytes(slots, gateUp.kBlocks()))
        + Arena.rounded(Tiles.panelBytes(slots, down.kBlocks()))
        + Arena.rounded(Tiles.scaleBytes(slots, down.kBlocks()))
        + Arena.rounded(slots * down.rows() * Short.BYTES)
        + Arena.rounded((long) tokens * topK * Integer.BYTES)
        + Arena.rounded((long) tokens * topK * Float.BYTES)
        + Arena.rounded((long) Tiles.ceil(tokens, BLOCK_TOKENS) * experts * Integer.BYTES)
        + Arena.rounded((long) groups(tokens, topK, experts, SMALLEST_TILE) * GROUP_BYTES)
        + Arena.rounded(Integer.BYTES);
  }

  /** {@code out[t] += Σ_k weight_k · expert_k(x[t])}. */
  void run(CudaTensor out, PanelTensor x, TileRouting routing, TileExperts experts, int n) {
    int topK = routing.topK();
    TileLayout gateUp = experts.gateUp().layout();
    TileLayout down = experts.down().layout();
    int slots = slots(n, topK, experts.count());
    run.scratch.begin(scratchBytes(gateUp, down, n, topK, experts.count()));
    TileProducts.Panel input = panel(slots, gateUp.kBlocks());
    TileProducts.Panel middle = panel(slots, down.kBlocks());
    long results = run.scratch.take((long) slots * down.rows() * Short.BYTES);
    long slot = run.scratch.take((long) n * topK * Integer.BYTES);
    long weight = run.scratch.take((long) n * topK * Float.BYTES);
    TileProducts.Rows rows = place(routing, experts.count(), n, slot, weight);

    run.launcher
        .parameters(gather)
        .pointer(x.memory().address())
        .pointer(x.scales().address())
        .integer(x.capacity())
        .pointer(slot)
        .integer(topK)
        .integer(gateUp.kBlocks())
        .pointer(input.values())
        .pointer(input.scales())
        .integer(slots)
        .grid(n, Tiles.ceil(gateUp.kBlocks(), 8), 1);
    products.gateUp(middle, input, experts.gateUp(), rows);
    products.linear(
        results,
        TileProducts.Store.BF16,
        down.rows(),
        down.rows(),
        slots,
        middle,
        experts.down(),
        rows);
    run.launcher
        .parameters(combine)
        .pointer(out.memory())
        .pointer(results)
        .pointer(slot)
        .pointer(weight)
        .integer(topK)
        .integer(down.rows())
        .grid(n, Tiles.ceil(down.rows(), COLUMNS), 1);
  }

  private TileProducts.Panel panel(int slots, int kBlocks) {
    return new TileProducts.Panel(
        run.scratch.take(Tiles.panelBytes(slots, kBlocks)),
        run.scratch.take(Tiles.scaleBytes(slots, kBlocks)),
        slots);
  }

  /** Gives every pair its slot and lists the tiles of slots. */
  private TileProducts.Rows place(TileRouting routing, int experts, int n, long slot, long weight) {
    int topK = routing.topK();
    int blocks = Tiles.ceil(n, BLOCK_TOKENS);
    int tileRows = tileRows(n * topK, experts);
    long counts = run.scratch.take((long) blocks * experts * Integer.BYTES);
    long tiles = run.scratch.take((long) groups(n, topK, experts, SMALLEST_TILE) * GROUP_BYTES);
    long tileCount = run.scratch.take(Integer.BYTES);
    run.launcher
        .parameters(count.withShared(experts * MASK_BYTES))
        .pointer(routing.chosen())
        .integer(n)
        .integer(topK)
        .integer(experts)
        .pointer(counts)
        .grid(blocks, 1, 1);
    run.launcher
        .parameters(scan)
        .pointer(counts)
        .integer(blocks)
        .integer(experts)
        .integer(tileRows)
        .pointer(tiles)
        .pointer(tileCount)
        .grid(1, 1, 1);
    run.launcher
        .parameters(scatter.withShared(experts * MASK_BYTES))
        .pointer(routing.chosen())
        .pointer(routing.weights())
        .integer(n)
        .integer(topK)
        .integer(experts)
        .pointer(counts)
        .pointer(slot)
        .pointer(weight)
        .grid(blocks, 1, 1);
    return new TileProducts.Rows(tileRows, tiles, tileCount, 0);
  }
}
