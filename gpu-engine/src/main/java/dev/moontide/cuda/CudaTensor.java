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

import dev.moontide.tensor.Tensor;

/**
 * Rows of float32, or of bf16 if an operand, one after the other on the device.
 *
 * @param isOperand whether it is bf16
 */
record CudaTensor(int capacity, int columns, boolean isOperand, Memory memory) implements Tensor {
  /** Bytes of one number. */
  static int elementBytes(boolean isOperand) {
    return isOperand ? Short.BYTES : Float.BYTES;
  }

  static long bytes(int rows, int columns, boolean isOperand) {
    return (long) rows * columns * elementBytes(isOperand);
  }

  long rowBytes() {
    return (long) columns * elementBytes(isOperand);
  }

  /** Where row {@code row} begins. */
  long address(int row) {
    return memory.address() + row * rowBytes();
  }
}
