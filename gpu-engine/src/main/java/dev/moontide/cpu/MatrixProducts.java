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
import dev.moontide.tensor.Tensor;

/**
 * Dense products: {@code out[t] = W·x[t]} and {@code out[t] += W·x[t]}. A task is a block of rows
 * times a range of the weight's panels; the blocks' size follows the work there is, which no row's
 * bits depend on.
 */
@SuppressWarnings("NullAway.Init") // The fields below are one call's arguments.
final class MatrixProducts implements Workers.Body {
  /** Below about 20 µs of work, sharing it costs more than it saves. */
  private static final long SHARED_FLOPS = 4_000_000;

  /** What it takes to read a weight from memory, in operations of the same time: few rows wait. */
  private static final int READ_FLOPS = 40;

  private static final int TASKS_PER_THREAD = 4;
  private static final int SMALLEST_BLOCK = 8;

  private final Workers workers;
  private final Lane[] lanes;

  private Tensor out;
  private NativeTensor x;
  private PackedWeight weight;
  private boolean add;
  private int rows;
  private int block;
  private int blocks;
  private int ranges;

  MatrixProducts(Workers workers, Lane[] lanes) {
    this.workers = workers;
    this.lanes = lanes;
  }

  /**
   * {@code out[t] = W·x[t]}, or {@code +=} where {@code addToOut}, for {@code t < n}. Logits, on
   * the heap, are products with {@linkplain Panels#separate separate} panels, all others with
   * {@linkplain Panels#joined joined} ones.
   */
  void multiply(Tensor result, NativeTensor operand, PackedWeight w, int n, boolean addToOut) {
    out = result;
    x = operand;
    weight = w;
    add = addToOut;
    rows = n;
    plan(w.panels(), n);
    workers.run(blocks * ranges, this);
  }

  private void plan(Panels panels, int n) {
    long work = (2L * n + READ_FLOPS) * panels.inputs() * panels.outputs();
    if (workers.count() == 1 || work < SHARED_FLOPS) {
      block = n;
      blocks = Math.min(n, 1);
      ranges = 1;
      return;
    }
    int wanted = TASKS_PER_THREAD * workers.count();
    int blocksWanted = (wanted + panels.count() - 1) / panels.count();
    int even = PageLayout.roundUp((n + blocksWanted - 1) / blocksWanted, SMALLEST_BLOCK);
    block = Math.min(MatmulKernel.MAX_ROWS, even);
    blocks = (n + block - 1) / block;
    ranges = Math.min(panels.count(), (wanted + blocks - 1) / blocks);
  }

  @Override
  public void run(int task, int worker) {
    Lane lane = lanes[worker];
    Panels panels = weight.panels();
    int range = task / blocks;
    int end = Math.min(rows, (task % blocks + 1) * block);
    int firstPanel = range * panels.count() / ranges;
    int endPanel = (range + 1) * panels.count() / ranges;
    for (int first = task % blocks * block; first < end; first += MatmulKernel.MAX_ROWS) {
      int count = Math.min(MatmulKernel.MAX_ROWS, end - first);
      for (int p = firstPanel; p < endPanel; p++) {
        panel(lane, p, first, count);
      }
    }
  }

  private void panel(Lane lane, int p, int first, int count) {
    Panels panels = weight.panels();
    long from = x.address(first);
    long panel = weight.address() + panels.offset(p);
    if (out instanceof NativeTensor result) {
      Product product = add ? panels.productAdded(p) : panels.product(p);
      long to = result.address(first) + (long) panels.firstColumn(p) * DType.F32.bytes();
      lane.multiply(product, count, from, panel, to);
    } else {
      Product product = panels.product(p);
      lane.target.reserve((long) count * panels.columns(p) * DType.F32.bytes());
      lane.multiply(product, count, from, panel, lane.target.address());
      takeLogits(lane, (FloatTensor) out, p, first, count);
    }
  }

  private void takeLogits(Lane lane, FloatTensor logits, int p, int first, int count) {
    int columns = weight.panels().columns(p);
    int at = first * logits.columns() + weight.panels().firstColumn(p);
    for (int r = 0; r < count; r++) {
      lane.target.floats().get(r * columns, logits.values, at + r * logits.columns(), columns);
    }
  }
}
