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

import dev.moontide.tensor.Tensor;

/** Rows of float32 on the heap, where logits are drawn from. */
final class FloatTensor implements Tensor {
  final float[] values;
  private final int rows;
  private final int columns;

  FloatTensor(int rows, int columns) {
    this.rows = rows;
    this.columns = columns;
    values = new float[Math.multiplyExact(rows, columns)];
  }

  @Override
  public int capacity() {
    return rows;
  }

  @Override
  public int columns() {
    return columns;
  }
}
