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
package dev.moontide.tensor;

/** How a {@link MatrixSource} stores its rows, for backends that compute with them as they are. */
public sealed interface Encoding {
  /** As numbers of some type, to be read by {@link MatrixSource#read}. */
  record Numbers() implements Encoding {}

  /** bf16, two bytes a number. */
  record Bf16() implements Encoding {}

  /**
   * FP8 E4M3, a byte a number, with one scale for each block of the matrix; scales form a matrix of
   * {@code ⌈rows / blockRows⌉ × ⌈columns / blockColumns⌉}.
   */
  record BlockFp8(int blockRows, int blockColumns) implements Encoding {}

  /**
   * INT4, two to a byte, the lower half first, value {@code nibble − 8}, with one scale for each
   * {@code group} of a row; scales form a matrix of {@code rows × ⌈columns / group⌉}.
   */
  record GroupInt4(int group) implements Encoding {}
}
