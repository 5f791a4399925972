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

/**
 * Compares a primitive of several rows with that of one row, bit by bit: on random factors, in
 * every row position, with room between the rows checked to stay as it was.
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
    int typeBytes = shape.source().bytes();
    int targetBytes = shape.target().bytes();
    long sourceBytes = (long) rows * shape.sourceStride() * typeBytes;
    long resultBytes = (long) rows * shape.targetStride() * targetBytes;
    try (NativeMemory memory = new NativeMemory();
        Lane lane = new Lane(dnnl)) {
      long source = memory.allocate(sourceBytes, "a check");
      long weight = memory.allocate(kernel.weightBytes(), "a check");
      long together = memory.allocate(resultBytes, "a check");
      long apart = memory.allocate(resultBytes, "a check");
      RandomNumbers.fill(source, sourceBytes, shape.source(), 1);
      RandomNumbers.fill(weight, kernel.weightBytes(), shape.weight(), 2);
      RandomNumbers.fill(together, resultBytes, shape.target(), 3);
      RandomNumbers.fill(apart, resultBytes, shape.target(), 3);
      lane.execute(kernel, rows, source, weight, together);
      for (int r = 0; r < rows; r++) {
        lane.execute(
            kernel,
            1,
            source + (long) r * shape.sourceStride() * typeBytes,
            weight,
            apart + (long) r * shape.targetStride() * targetBytes);
      }
      return Address.view(together, resultBytes).equals(Address.view(apart, resultBytes));
    }
  }
}
