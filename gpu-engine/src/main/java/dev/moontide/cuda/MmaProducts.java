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

/** Products with weights every token is multiplied with, by {@code mma.sync}. */
final class MmaProducts implements LinearProducts {
  private static final int ROUTER_THREADS = 128;
  private static final int ROUTER_EXPERTS = 16;
  private static final int ROUTER_ROWS = 4;

  private final Execution run;
  private final MmaKernels products;
  private final Kernel router;

  MmaProducts(Execution run, Kernels kernels, MmaKernels products) {
    this.run = run;
    this.products = products;
    router = kernels.kernel("mma_router_logits", ROUTER_THREADS);
  }

  @Override
  public void multiply(CudaTensor out, CudaTensor x, CudaWeight w, int n, boolean add) {
    run(out, x, w, n, false, add);
  }

  @Override
  public void gated(CudaTensor out, CudaTensor space, CudaTensor x, CudaWeight gateUp, int n) {
    run(out, x, gateUp, n, true, false);
  }

  private void run(
      CudaTensor out, CudaTensor x, CudaWeight w, int n, boolean isGated, boolean add) {
    products.run(
        new MmaKernels.Product(
            x.memory().address(), w, out.memory().address(), out.columns(), isGated, add),
        n);
  }

  @Override
  public void multiplyFloats(CudaTensor out, CudaTensor x, CudaWeight w, int n) {
    run.launcher
        .of(router)
        .pointer(out.memory())
        .pointer(x.memory())
        .pointer(w.values())
        .integer(n)
        .integer(w.rows())
        .integer(w.columns())
        .grid(Products.tiles(w.rows(), ROUTER_EXPERTS), Products.tiles(n, ROUTER_ROWS), 1);
  }
}
