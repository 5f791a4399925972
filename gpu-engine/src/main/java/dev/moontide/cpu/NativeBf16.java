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
 * Whether this CPU multiplies bf16 natively (AVX512_BF16, AMX), and how, which oneDNN says only in
 * the name of the implementation it chose. Where a CPU does not, oneDNN refuses such products, or
 * computes them with reference code a thousand times slower.
 */
final class NativeBf16 {
  private static final int SIZE = 64;

  private NativeBf16() {}

  static boolean available(Dnnl dnnl) {
    return implementation(dnnl).startsWith("brg");
  }

  /** Whether by AMX, whose products take so little time that a call's own cost shows. */
  static boolean byTiles(Dnnl dnnl) {
    return Dnnl.isTiled(implementation(dnnl));
  }

  /** The implementation's name, empty where oneDNN refuses the product. */
  private static String implementation(Dnnl dnnl) {
    MatmulShape shape =
        new MatmulShape(Arithmetic.BF16, SIZE, SIZE, SIZE, DType.F32, SIZE, true, true);
    try (MatmulKernels kernels = new MatmulKernels(dnnl)) {
      return kernels.of(shape).slice(0).implementation();
    } catch (MoontideException e) {
      return "";
    }
  }
}
