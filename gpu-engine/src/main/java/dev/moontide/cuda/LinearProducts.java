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

/** Products with weights every token is multiplied with. */
interface LinearProducts {
  /** {@code out[t] (+)= W · x[t]} for {@code n} rows, float32 out of bf16. */
  void multiply(CudaTensor out, CudaTensor x, CudaWeight w, int n, boolean add);

  /**
   * {@code out[t] = silu(gate · x[t]) ⊙ (up · x[t])} for {@code n} rows, bf16 out of bf16.
   *
   * @param space float32, of twice as many columns; unused by products that fuse it
   * @param gateUp gate above up
   */
  void gated(CudaTensor out, CudaTensor space, CudaTensor x, CudaWeight gateUp, int n);

  /** {@code out[t] = W · x[t]} for {@code n} rows, all in float32: the router's gate. */
  void multiplyFloats(CudaTensor out, CudaTensor x, CudaWeight w, int n);
}
