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

import dev.moontide.api.MoontideException;
import dev.moontide.tensor.DType;

/**
 * Whether this CPU multiplies bf16 natively. Where it does not, oneDNN computes such products with
 * reference code a thousand times slower, or by conversion to float32, and says so only in the name
 * of the implementation.
 */
final class NativeBf16 {
  private static final int SIZE = 64;

  private NativeBf16() {}

  static boolean available(Dnnl dnnl) {
    return implementation(dnnl).startsWith("brg");
  }

  /** {@link DType#BF16}, or an error that says what is missing. */
  static DType require(Dnnl dnnl) {
    if (!available(dnnl)) {
      throw MoontideException.configuration(
          "dtype is bf16, which this CPU does not multiply natively (oneDNN would use %s; bf16"
              + " needs AVX512_BF16 or AMX): use f32 or auto",
          implementation(dnnl));
    }
    return DType.BF16;
  }

  private static String implementation(Dnnl dnnl) {
    try (MatmulKernels kernels = new MatmulKernels(dnnl)) {
      return kernels
          .of(new MatmulShape(DType.BF16, SIZE, SIZE, SIZE, DType.F32, SIZE, true, true))
          .implementation();
    } catch (MoontideException e) {
      return "nothing: " + e.getMessage();
    }
  }
}
