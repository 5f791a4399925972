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

import java.util.HashMap;
import java.util.Map;

/** Every shape of product in use, each with its one {@link Product}. */
final class MatmulKernels implements AutoCloseable {
  private final Dnnl dnnl;
  private final Map<MatmulShape, Product> products = new HashMap<>();
  private final Map<MatmulShape, MatmulKernel> kernels = new HashMap<>();

  MatmulKernels(Dnnl dnnl) {
    this.dnnl = dnnl;
  }

  /** The product of {@code shape}, made where it is new. Thread-safe; not for inner loops. */
  synchronized Product of(MatmulShape shape) {
    Product product = products.get(shape);
    if (product == null) {
      MatmulKernel[] slices = new MatmulKernel[shape.slices()];
      for (int i = 0; i < slices.length; i++) {
        slices[i] = kernel(shape.slice(i));
      }
      product = new Product(shape, slices);
      products.put(shape, product);
    }
    return product;
  }

  private MatmulKernel kernel(MatmulShape shape) {
    MatmulKernel kernel = kernels.get(shape);
    if (kernel == null) {
      // What is added to must be multiplied by the same weight as what is not.
      boolean shares = shape.accumulate() && !shape.paged() && !shape.widens();
      MatmulKernel packed = shares ? kernel(shape.adding(false)) : null;
      kernel = new MatmulKernel(dnnl, shape, kernels.size(), packed);
      kernels.put(shape, kernel);
    }
    return kernel;
  }

  @Override
  public synchronized void close() {
    kernels.values().forEach(MatmulKernel::close);
    kernels.clear();
    products.clear();
  }
}
