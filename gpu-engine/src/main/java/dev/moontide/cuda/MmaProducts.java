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
  private final MmaKernels kernels;

  MmaProducts(MmaKernels kernels) {
    this.kernels = kernels;
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
    kernels.run(
        new MmaKernels.Product(
            x.memory().address(), w, out.memory().address(), out.columns(), isGated, add),
        MmaKernels.Width.of(n),
        n);
  }
}
