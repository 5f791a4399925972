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

import java.util.ArrayList;
import java.util.List;

/** Products of panels with weight tiles ({@code hopper/gemm_fp8.cu}, {@code gemm_bf16.cu}). */
final class TileProducts {
  private static final int THREADS = 384;
  private static final int[] TILE_ROWS = {16, 32, 64, 128};
  private static final int[] GATE_UP_SHARED = {213_456, 228_176, 217_408, 216_112};
  private static final int[] LINEAR_SHARED = {223_152, 227_872, 224_640, 199_728};
  private static final int BF16_SHARED = 197_696;

  /** K blocks of a sum from which tiles of 32 rows are faster than tiles of 64 for 64 rows. */
  private static final int LONG_SUM = 32;

  /** What becomes of sums ({@code hopper/store.cuh}). */
  enum Store {
    BF16(0),
    FLOAT(1),
    ADD(2);

    private final int number;

    Store(int number) {
      this.number = number;
    }
  }

  private final Execution run;
  private final List<Kernel> gateUp = new ArrayList<>();
  private final List<Kernel> linear = new ArrayList<>();
  private final Kernel linearBf16;
  private final int blocks;

  TileProducts(Execution run, Kernels kernels) {
    this.run = run;
    for (int i = 0; i < TILE_ROWS.length; i++) {
      gateUp.add(kernels.kernel("gate_up_" + TILE_ROWS[i], THREADS, GATE_UP_SHARED[i]));
      linear.add(kernels.kernel("linear_" + TILE_ROWS[i], THREADS, LINEAR_SHARED[i]));
    }
    linearBf16 = kernels.kernel("linear_bf16", THREADS, BF16_SHARED);
    blocks = run.device.multiprocessors();
  }

  /** FP8 activations: a panel and its scales. */
  record Panel(long values, long scales, int capacity) {
    static Panel of(PanelTensor tensor) {
      return new Panel(tensor.memory().address(), tensor.scales().address(), tensor.capacity());
    }
  }

  /**
   * Which rows meet which weight.
   *
   * @param tiles row groups by expert, {@code tileRows} a tile; 0 for the first {@code rows} and
   *     one weight
   * @param tileCount where their number lies
   */
  record Rows(int tileRows, long tiles, long tileCount, int rows) {}

  /** Rows of a tile for {@code n} rows that all meet the same weight. */
  static int tileRows(int n, int kBlocks) {
    if (n > 32 && n <= 64) {
      return kBlocks > LONG_SUM ? 32 : 64;
    }
    return n <= 16 ? 16 : n <= 32 ? 32 : 128;
  }

  private static int index(int tileRows) {
    return Integer.numberOfTrailingZeros(tileRows) - 4;
  }

  /** {@code out = silu(gate · a) · (up · a)}, FP8. */
  void gateUp(Panel out, Panel a, TileWeight w, Rows rows) {
    operands(gateUp.get(index(rows.tileRows())), a, w, rows)
        .pointer(out.values())
        .pointer(out.scales())
        .integer(out.capacity())
        .grid(blocks, 1, 1);
  }

  /**
   * {@code out = W · a}.
   *
   * @param columns stored of each row
   * @param capacity rows of {@code out} from one piece of a sum to the next
   */
  void linear(
      long out,
      Store store,
      int columns,
      int stride,
      int capacity,
      Panel a,
      TileWeight w,
      Rows rows) {
    operands(linear.get(index(rows.tileRows())), a, w, rows)
        .integer(w.splits())
        .pointer(out)
        .integer(store.number)
        .integer(columns)
        .integer(stride)
        .integer(capacity)
        .grid(blocks, 1, 1);
  }

  private Launcher operands(Kernel kernel, Panel a, TileWeight w, Rows rows) {
    return run.launcher
        .parameters(kernel)
        .pointer(a.values())
        .pointer(a.scales())
        .integer(a.capacity())
        .pointer(w.values())
        .pointer(w.scales())
        .pointer(rows.tiles())
        .pointer(rows.tileCount())
        .integer(rows.rows())
        .integer(w.layout().kBlocks())
        .integer(w.layout().tiles());
  }

  /** {@code out = W · a} for all {@code n} rows of one weight, FP8. */
  void linear(
      long out,
      Store store,
      int columns,
      int stride,
      int capacity,
      PanelTensor a,
      TileWeight w,
      int n) {
    int tileRows = tileRows(n, w.layout().kBlocks() / w.splits());
    linear(out, store, columns, stride, capacity, Panel.of(a), w, new Rows(tileRows, 0, 0, n));
  }

  /** {@code out = W · a} in float32, the weight and {@code a} (high, or high and low) in bf16. */
  void linearBf16(long out, int capacity, PanelTensor a, TileWeight w, int n) {
    int kBlocks = w.layout().kBlocks();
    run.launcher
        .parameters(linearBf16)
        .pointer(a.memory().address())
        .integer(a.capacity())
        .integer(n)
        .pointer(w.values())
        .integer(a.kind() == PanelTensor.Kind.HIGH_LOW ? 2 * kBlocks : kBlocks)
        .integer(kBlocks)
        .integer(w.layout().tiles())
        .integer(w.splits())
        .pointer(out)
        .integer(Store.FLOAT.number)
        .integer(w.rows())
        .integer(w.rows())
        .integer(capacity)
        .grid(blocks, 1, 1);
  }
}
