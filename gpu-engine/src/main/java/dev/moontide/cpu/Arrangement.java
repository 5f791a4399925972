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
 * Puts a matrix in the order of a {@link PageLayout} without pairs. oneDNN could do it, but where
 * the CPU lacks bf16 it moves such numbers one at a time, 70 ns each.
 */
final class Arrangement {
  /** Rows of the layout in a strip: with a block of columns, a strip stays in the first cache. */
  private static final int STRIP = 64;

  private Arrangement() {}

  /** From a row-major {@code [rows, columns]}; padding is left as it is. */
  static void rows(PageLayout layout, short[] from, short[] to) {
    int columns = layout.columns();
    int width = layout.columnBlock();
    for (int row = 0; row < layout.rows(); row++) {
      for (int c = 0; c < columns; c += width) {
        int count = Math.min(width, columns - c);
        System.arraycopy(from, row * columns + c, to, layout.index(row, c), count);
      }
    }
  }

  /** From its transpose, a row-major {@code [columns, rows]}; padding is left as it is. */
  static void columns(PageLayout layout, short[] from, short[] to) {
    int rows = layout.rows();
    int width = layout.columnBlock();
    for (int block = 0; block < layout.columns(); block += width) {
      int end = Math.min(block + width, layout.columns());
      for (int first = 0; first < rows; first += STRIP) {
        int count = Math.min(STRIP, rows - first);
        for (int c = block; c < end; c++) {
          int source = c * rows + first;
          int target = layout.index(first, c);
          for (int i = 0; i < count; i++) {
            to[target + i * width] = from[source + i];
          }
        }
      }
    }
  }
}
