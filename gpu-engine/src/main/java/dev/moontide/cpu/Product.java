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
 * A matrix product for any number of rows: one {@link MatmulKernel}, or one for each {@linkplain
 * MatmulShape#slice slice} of the inputs, in order.
 */
final class Product {
  private final MatmulShape shape;
  private final MatmulKernel[] slices;
  private final long weightBytes;

  Product(MatmulShape shape, MatmulKernel[] slices) {
    this.shape = shape;
    this.slices = slices;
    long bytes = 0;
    for (MatmulKernel slice : slices) {
      bytes += slice.weightBytes();
    }
    weightBytes = bytes;
  }

  MatmulShape shape() {
    return shape;
  }

  int slices() {
    return slices.length;
  }

  MatmulKernel slice(int i) {
    return slices[i];
  }

  /** Bytes of the right factor, padding included: its slices one after the other. */
  long weightBytes() {
    return weightBytes;
  }
}
