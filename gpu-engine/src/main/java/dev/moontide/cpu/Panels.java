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

/**
 * How a weight [outputs, inputs] is cut by outputs into panels, each packed by itself: narrow
 * enough that a panel stays in a core's cache and a small batch keeps several threads busy. The cut
 * depends on the weight's shape alone.
 */
final class Panels {
  /** Elements of a panel, half a mebibyte in bf16. */
  private static final int ELEMENTS = 1 << 18;

  private static final int WIDEST = 512;
  private static final int BLOCK = 64;

  private final int outputs;
  private final int inputs;
  private final int width;
  private final int count;
  private final boolean joined;
  private final Product full;
  private final Product last;
  private final Product fullAdded;
  private final Product lastAdded;

  private Panels(
      MatmulKernels kernels, Arithmetic arithmetic, int outputs, int inputs, boolean joined) {
    this.outputs = outputs;
    this.inputs = inputs;
    this.joined = joined;
    int widest = Math.max(BLOCK, Math.min(WIDEST, ELEMENTS / inputs / BLOCK * BLOCK));
    int wanted = (outputs + widest - 1) / widest;
    width = Math.min(outputs, PageLayout.roundUp((outputs + wanted - 1) / wanted, BLOCK));
    count = (outputs + width - 1) / width;
    full = product(kernels, arithmetic, width);
    last = product(kernels, arithmetic, columns(count - 1));
    fullAdded = kernels.of(full.shape().adding(true));
    lastAdded = kernels.of(last.shape().adding(true));
  }

  /** Panels whose results stand in tiles of their own. */
  static Panels separate(MatmulKernels kernels, Arithmetic arithmetic, int outputs, int inputs) {
    return new Panels(kernels, arithmetic, outputs, inputs, false);
  }

  /** Panels whose results stand side by side in rows of all outputs. */
  static Panels joined(MatmulKernels kernels, Arithmetic arithmetic, int outputs, int inputs) {
    return new Panels(kernels, arithmetic, outputs, inputs, true);
  }

  private Product product(MatmulKernels kernels, Arithmetic arithmetic, int columns) {
    return kernels.of(MatmulShape.packed(arithmetic, inputs, columns, joined ? outputs : columns));
  }

  int outputs() {
    return outputs;
  }

  int inputs() {
    return inputs;
  }

  int count() {
    return count;
  }

  /** First output of panel {@code p}. */
  int firstColumn(int p) {
    return p * width;
  }

  /** Outputs of panel {@code p}. */
  int columns(int p) {
    return Math.min(width, outputs - p * width);
  }

  Product product(int p) {
    return p < count - 1 ? full : last;
  }

  /** The same, added to what the result holds. */
  Product productAdded(int p) {
    return p < count - 1 ? fullAdded : lastAdded;
  }

  /** Bytes from the weight's start to panel {@code p}. */
  long offset(int p) {
    return p * full.weightBytes();
  }

  /** Bytes of all panels. */
  long bytes() {
    return offset(count - 1) + last.weightBytes();
  }

  /**
   * Computes {@code rows} rows of every panel side by side, for joined panels, in {@linkplain
   * Lane#paddedRows padded} calls.
   */
  void multiply(Lane lane, int rows, long from, long weight, long to) {
    for (int p = 0; p < count; p++) {
      lane.multiplyPadded(
          product(p),
          rows,
          from,
          weight + offset(p),
          to + (long) firstColumn(p) * DType.F32.bytes());
    }
  }
}
