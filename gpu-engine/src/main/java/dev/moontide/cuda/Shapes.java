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

/** Checks shapes before anything is launched: a kernel writes where it is told to. */
final class Shapes {
  private Shapes() {}

  /** {@code tensor} has {@code columns} columns and room for {@code n} rows, at least one. */
  static void check(String operation, Tensor tensor, int n, int columns) {
    checkRows(operation, tensor.capacity(), n);
    if (tensor.columns() != columns) {
      throw new IllegalArgumentException(
          "%s: a tensor has %d columns, expected %d"
              .formatted(operation, tensor.columns(), columns));
    }
  }

  /** {@code tensor} has columns {@code [from, from + width)} and room for {@code n} rows. */
  static void checkSlice(String operation, Tensor tensor, int n, int from, int width) {
    checkRows(operation, tensor.capacity(), n);
    if (from < 0 || from + width > tensor.columns()) {
      throw new IllegalArgumentException(
          "%s: a tensor has %d columns, and columns %d to %d are asked for"
              .formatted(operation, tensor.columns(), from, from + width));
    }
  }

  static void checkRows(String operation, int capacity, int n) {
    if (n < 1 || n > capacity) {
      throw new IllegalArgumentException(
          "%s: %d rows, of a tensor with room for %d".formatted(operation, n, capacity));
    }
  }
}
