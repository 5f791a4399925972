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
 * Compares a primitive of several rows with that of one row, bit by bit: on random factors, in
 * every row position, with room between the rows checked to stay as it was.
 *
 * <p>Two kernels that sum in different orders differ in the last of float32's bits, which rounding
 * a result to bf16 hides but once in some ten thousand results. So a second trial has sums that
 * cancel: what is left are the roundings on the way, and those are the result's leading bits.
 *
 * <p>Padding of the right factor holds numbers here, not zeros: a kernel that multiplies it by what
 * lies beyond a row is refused, since that might be NaN.
 */
final class InvarianceCheck {
  private final Dnnl dnnl;
  private final MatmulKernel kernel;

  InvarianceCheck(Dnnl dnnl, MatmulKernel kernel) {
    this.dnnl = dnnl;
    this.kernel = kernel;
  }

  boolean holds(int rows) {
    MatmulShape shape = kernel.shape();
    long sourceBytes = (long) rows * shape.sourceStride() * shape.source().bytes();
    long resultBytes = (long) rows * shape.targetStride() * shape.target().bytes();
    try (NativeMemory memory = new NativeMemory();
        Lane lane = new Lane(dnnl)) {
      long source = memory.allocate(sourceBytes, "a check");
      long weight = memory.allocate(kernel.weightBytes(), "a check");
      long together = memory.allocate(resultBytes, "a check");
      long apart = memory.allocate(resultBytes, "a check");
      RandomNumbers.fill(source, sourceBytes, shape.source(), 1);
      RandomNumbers.fill(weight, kernel.weightBytes(), shape.weight(), 2);
      if (!agree(lane, rows, source, weight, together, apart)) {
        return false;
      }
      if (shape.target() == DType.F32) {
        return true;
      }
      RandomNumbers.fillCancelling(
          source, rows, shape.sourceStride(), shape.inner(), shape.source());
      RandomNumbers.fillConstant(weight, kernel.weightBytes(), shape.weight());
      return agree(lane, rows, source, weight, together, apart);
    }
  }

  private boolean agree(Lane lane, int rows, long source, long weight, long together, long apart) {
    MatmulShape shape = kernel.shape();
    long sourceRow = (long) shape.sourceStride() * shape.source().bytes();
    long resultRow = (long) shape.targetStride() * shape.target().bytes();
    RandomNumbers.fill(together, rows * resultRow, shape.target(), 3);
    RandomNumbers.fill(apart, rows * resultRow, shape.target(), 3);
    lane.execute(kernel, rows, source, weight, together);
    for (int r = 0; r < rows; r++) {
      lane.execute(kernel, 1, source + r * sourceRow, weight, apart + r * resultRow);
    }
    return Address.view(together, rows * resultRow).equals(Address.view(apart, rows * resultRow));
  }
}
