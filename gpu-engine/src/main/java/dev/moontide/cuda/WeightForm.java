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

/** How a weight's numbers lie on the device, row after row. */
enum WeightForm {
  /** bf16. */
  BF16("bf16", 16),
  /** FP8 E4M3 with float32 scales of blocks, for products with activations rounded to FP8. */
  FP8("fp8", 8),
  /** INT4 with float32 scales of groups, for products with bf16 activations. */
  INT4("int4", 4),
  /** float32. */
  FLOAT("float", 32);

  private final String kernelName;
  private final int bits;

  WeightForm(String kernelName, int bits) {
    this.kernelName = kernelName;
    this.bits = bits;
  }

  /** Its part of the names of kernels. */
  String kernelName() {
    return kernelName;
  }

  /** Bits of a number. */
  int bits() {
    return bits;
  }
}
