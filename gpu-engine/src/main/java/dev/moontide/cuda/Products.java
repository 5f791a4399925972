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

/** Products with weights every token is multiplied with. */
final class Products implements LinearProducts {
  static final int THREADS = 256;
  static final int TILE_COLUMNS = 64;

  /** Rows up to which tiles of 16 rows waste less than tiles of 64; a row's bits are the same. */
  private static final int FEW_ROWS = 32;

  private final Execution run;
  private final RowOperations rows;
  private final Map<WeightForm, Pair> kernels = new EnumMap<>(WeightForm.class);
  private final Kernel floats;

  /** A kernel with tiles of 16 rows and one with tiles of 64. */
  record Pair(Kernel low, Kernel high) {
    static Pair of(Kernels kernels, String name) {
      return new Pair(kernels.kernel(name + "_16", THREADS), kernels.kernel(name + "_64", THREADS));
    }

    Kernel choose(int rowsOfTile) {
      return rowsOfTile == 16 ? low : high;
    }
  }

  Products(Execution run, RowOperations rows) {
    this.run = run;
    this.rows = rows;
    for (WeightForm form : new WeightForm[] {WeightForm.BF16, WeightForm.FP8, WeightForm.INT4}) {
      kernels.put(form, Pair.of(run.kernels, "product_" + form.kernelName()));
    }
    floats = run.kernels.kernel("product_float_16", THREADS);
  }

  /** Rows of a tile for {@code n} rows. */
  static int tileRows(int n) {
    return n <= FEW_ROWS ? 16 : 64;
  }

  static int tiles(int size, int tile) {
    return (size + tile - 1) / tile;
  }

  /** Scratch of a product of {@code rows} rows with a weight of this layout. */
  static long scratchBytes(WeightLayout layout, int rows) {
    return layout.form() == WeightForm.FP8
        ? RowOperations.quantizedBytes(rows, layout.columns())
        : 0;
  }

  @Override
  public void multiply(CudaTensor out, CudaTensor x, CudaWeight w, int n, boolean add) {
    WeightLayout layout = w.layout();
    long a = x.memory().address();
    long scales = 0;
    if (layout.form() == WeightForm.FP8) {
      run.scratch.begin(scratchBytes(layout, x.capacity()));
      a = run.scratch.take((long) x.capacity() * x.columns());
      scales =
          run.scratch.take((long) x.capacity() * RowOperations.groups(x.columns()) * Float.BYTES);
      rows.quantize(a, scales, x.memory().address(), x.columns(), n);
    }
    int tileRows = tileRows(n);
    Pair pair = java.util.Objects.requireNonNull(kernels.get(layout.form()));
    launch(pair.choose(tileRows), out, a, scales, w, n, add, tileRows);
  }

  @Override
  public void gated(CudaTensor out, CudaTensor space, CudaTensor x, CudaWeight gateUp, int n) {
    multiply(space, x, gateUp, n, false);
    rows.swiglu(out, space, n);
  }

  @Override
  public void multiplyFloats(CudaTensor out, CudaTensor x, CudaWeight w, int n) {
    launch(floats, out, x.memory().address(), 0, w, n, false, 16);
  }

  private void launch(
      Kernel kernel,
      CudaTensor out,
      long a,
      long scales,
      CudaWeight w,
      int n,
      boolean add,
      int tileRows) {
    WeightLayout layout = w.layout();
    run.launcher
        .of(kernel)
        .pointer(a)
        .pointer(scales)
        .pointer(w.values())
        .pointer(w.scales())
        .pointer(out.memory())
        .wide(layout.columns())
        .wide(layout.columns())
        .wide(out.columns())
        .wide(0)
        .wide(0)
        .wide(0)
        .integer(n)
        .integer(layout.rows())
        .integer(layout.columns())
        .integer(layout.split())
        .integer(layout.blockRows())
        .integer(layout.group())
        .flag(add)
        .grid(tiles(layout.rows(), TILE_COLUMNS), tiles(n, tileRows), 1);
  }
}
