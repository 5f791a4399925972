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

import dev.moontide.tensor.Attention;
import dev.moontide.tensor.Weight;

/**
 * {@code kv_b_proj}, packed by head for the absorbed form: {@code W_uk} takes a query's {@code
 * nopeDim} numbers to {@code latentDim}, {@code W_uv} a sum of latents to {@code valueDim}.
 */
final class LatentWeight implements Weight {
  private final Attention attention;
  private final Product absorb;
  private final Product value;
  private final long address;

  /** Allocates it, not yet filled. */
  LatentWeight(
      MatmulKernels kernels,
      NativeMemory memory,
      Arithmetic arithmetic,
      Attention attention,
      String name) {
    this.attention = attention;
    int heads = attention.heads();
    absorb =
        kernels.of(
            new MatmulShape(
                arithmetic,
                attention.nopeDim(),
                attention.latentDim(),
                attention.nopeDim(),
                arithmetic.operand(),
                heads * attention.cacheColumns(),
                false,
                false));
    value =
        kernels.of(
            new MatmulShape(
                arithmetic,
                attention.latentDim(),
                attention.valueDim(),
                heads * attention.latentDim(),
                arithmetic.operand(),
                attention.outputColumns(),
                false,
                false));
    address = memory.allocate(bytes(), name);
  }

  /** {@code [rows, nopeDim] · W_uk}, into rows of all heads' queries. */
  Product absorb() {
    return absorb;
  }

  /** {@code [rows, latentDim] · W_uvᵀ}, from rows of all heads' sums into rows of all outputs. */
  Product value() {
    return value;
  }

  long absorbAddress(int head) {
    return address + head * headBytes();
  }

  long valueAddress(int head) {
    return absorbAddress(head) + absorb.weightBytes();
  }

  private long headBytes() {
    return absorb.weightBytes() + value.weightBytes();
  }

  @Override
  public int rows() {
    return attention.heads() * (attention.nopeDim() + attention.valueDim());
  }

  @Override
  public int columns() {
    return attention.latentDim();
  }

  @Override
  public long bytes() {
    return attention.heads() * headBytes();
  }
}
