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

/** The machine's own rate of matrix products, the yardstick of {@code bench}. */
public final class MatmulRate {
  private static final int SIZE = 1024;
  private static final int REPETITIONS = 5;
  private static final int PRODUCTS = 8;

  private MatmulRate() {}

  /**
   * GFLOP/s of products of 1024³ with a packed right factor, straight through oneDNN on memory of
   * its own: {@code threads} threads each compute products of their own, and the best of five
   * rounds counts.
   */
  public static double measure(DType type, int threads) {
    try (Dnnl dnnl = new Dnnl();
        MatmulKernels kernels = new MatmulKernels(dnnl);
        NativeMemory memory = new NativeMemory();
        Workers workers = new Workers(threads)) {
      Arithmetic arithmetic = Arithmetic.of(type, dnnl);
      DType source = arithmetic.operand();
      Product product = kernels.of(MatmulShape.packed(arithmetic, SIZE, SIZE, SIZE));
      Lane[] lanes = new Lane[threads];
      long[] weights = new long[threads];
      for (int i = 0; i < threads; i++) {
        lanes[i] = new Lane(dnnl);
        long sourceBytes = (long) SIZE * SIZE * source.bytes();
        lanes[i].source.reserve(sourceBytes);
        RandomNumbers.fill(lanes[i].source.address(), sourceBytes, source, i);
        lanes[i].target.reserve((long) SIZE * SIZE * DType.F32.bytes());
        weights[i] = memory.allocate(product.weightBytes(), "a measurement");
        RandomNumbers.fill(weights[i], product.weightBytes(), type, threads + i);
      }
      int rounds = PRODUCTS * threads;
      Workers.Body body = (task, worker) -> multiply(lanes[worker], product, weights[worker]);
      long best = Long.MAX_VALUE;
      for (int i = 0; i < REPETITIONS; i++) {
        long start = System.nanoTime();
        workers.run(rounds, body);
        best = Math.min(best, System.nanoTime() - start);
      }
      for (Lane lane : lanes) {
        lane.close();
      }
      return 2.0 * SIZE * SIZE * SIZE * rounds / (double) best;
    }
  }

  /** All rows, in calls of the most rows the backend itself makes. */
  private static void multiply(Lane lane, Product product, long weight) {
    int rows = MatmulKernel.MAX_ROWS;
    for (int first = 0; first < SIZE; first += rows) {
      lane.multiply(
          product,
          rows,
          lane.source.address() + (long) first * SIZE * product.shape().source().bytes(),
          weight,
          lane.target.address() + (long) first * SIZE * DType.F32.bytes());
    }
  }
}
