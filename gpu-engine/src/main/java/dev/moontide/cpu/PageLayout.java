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

import static org.bytedeco.dnnl.global.dnnl.dnnl_BA16a16b;
import static org.bytedeco.dnnl.global.dnnl.dnnl_BA16a16b2a;
import static org.bytedeco.dnnl.global.dnnl.dnnl_BA16a32b;
import static org.bytedeco.dnnl.global.dnnl.dnnl_BA16a32b2a;
import static org.bytedeco.dnnl.global.dnnl.dnnl_BA16a48b;
import static org.bytedeco.dnnl.global.dnnl.dnnl_BA16a48b2a;
import static org.bytedeco.dnnl.global.dnnl.dnnl_BA16a64b;
import static org.bytedeco.dnnl.global.dnnl.dnnl_BA16a64b2a;

import dev.moontide.tensor.DType;

/**
 * How a page of the cache lies in memory, so that oneDNN multiplies with it as it is: columns in
 * blocks of {@link #columnBlock()}, in them rows in blocks of {@link #rowBlock()}, in them (native
 * bf16) rows in pairs, the two numbers of a pair side by side. Dimensions are padded to whole
 * blocks with zeros. Where a product takes several calls, each call's rows, a slice, lie together
 * in this order, one slice after the other.
 *
 * @param rows what a product sums over
 * @param columns the product's outputs
 */
record PageLayout(Arithmetic arithmetic, int rows, int columns) {
  private static final int NARROWEST_BLOCK = 16;

  /** Type of the elements. */
  DType type() {
    return arithmetic.stored();
  }

  /** Columns a product with the page computes, padding included, which no arithmetic refuses. */
  int productColumns() {
    return roundUp(columns, NARROWEST_BLOCK);
  }

  /** Rows that lie side by side. */
  int pair() {
    return arithmetic == Arithmetic.BF16 ? 2 : 1;
  }

  int rowBlock() {
    return 16 * pair();
  }

  int columnBlock() {
    return Math.min(64, productColumns());
  }

  /** oneDNN's name of the layout, where A are the rows and B the columns. */
  int tag() {
    boolean paired = pair() == 2;
    return switch (columnBlock()) {
      case 16 -> paired ? dnnl_BA16a16b2a : dnnl_BA16a16b;
      case 32 -> paired ? dnnl_BA16a32b2a : dnnl_BA16a32b;
      case 48 -> paired ? dnnl_BA16a48b2a : dnnl_BA16a48b;
      default -> paired ? dnnl_BA16a64b2a : dnnl_BA16a64b;
    };
  }

  /** Elements, padding included. */
  int elements() {
    return roundUp(rows, rowBlock()) * roundUp(columns, columnBlock());
  }

  long bytes() {
    return (long) elements() * type().bytes();
  }

  /** Rows of a slice; the last may have fewer. */
  int sliceRows() {
    return Math.min(rows, arithmetic.mostInner());
  }

  /** Elements from a row's pair to the next pair of its slice and block of columns. */
  int pairStride() {
    return columnBlock() * pair();
  }

  /** Where element ({@code row}, {@code column}) lies. */
  int index(int row, int column) {
    int first = row / sliceRows() * sliceRows();
    int slice = roundUp(Math.min(sliceRows(), rows - first), rowBlock());
    return first * roundUp(columns, columnBlock())
        + column / columnBlock() * slice * columnBlock()
        + (row - first) / pair() * pairStride()
        + column % columnBlock() * pair()
        + row % pair();
  }

  static int roundUp(int n, int multiple) {
    return (n + multiple - 1) / multiple * multiple;
  }
}
