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

import dev.moontide.tensor.Encoding;
import dev.moontide.tensor.MatrixSource;
import dev.moontide.tensor.RandomMatrix;
import java.nio.ByteBuffer;
import java.util.SplittableRandom;

/** A random matrix in one of the quantised encodings, scales between 0.5 and 2. */
record QuantizedMatrix(String name, int rows, int columns, Encoding encoding)
    implements MatrixSource {
  private int code(int row, int column) {
    long place = (long) row * columns + column;
    int bits = new SplittableRandom(name.hashCode() * 7919L + place).nextInt(256);
    if (encoding instanceof Encoding.GroupInt4) {
      return bits & 15;
    }
    // Exponents from the subnormals to 2^0, either sign; no NaN.
    return bits & 0xbf;
  }

  float scale(int row, int column) {
    RandomMatrix scales = new RandomMatrix(name + " scales", scaleRows(), scaleColumns(), 0.75f);
    return scales.at(row, column) + 1.25f;
  }

  private int scaleRows() {
    return encoding instanceof Encoding.BlockFp8 block ? ceil(rows, block.blockRows()) : rows;
  }

  private int scaleColumns() {
    return encoding instanceof Encoding.BlockFp8 block
        ? ceil(columns, block.blockColumns())
        : ceil(columns, ((Encoding.GroupInt4) encoding).group());
  }

  private static int ceil(int size, int block) {
    return (size + block - 1) / block;
  }

  /** The number a code stands for, times its scale. */
  double value(int row, int column) {
    if (encoding instanceof Encoding.BlockFp8 block) {
      return QuantizedProductsTest.fromE4m3(code(row, column))
          * (double) scale(row / block.blockRows(), column / block.blockColumns());
    }
    int group = ((Encoding.GroupInt4) encoding).group();
    return (code(row, column) - 8) * (double) scale(row, column / group);
  }

  @Override
  public void read(int first, int count, float[] out, int offset) {
    for (int i = 0; i < count * columns; i++) {
      out[offset + i] = (float) value(first + i / columns, i % columns);
    }
  }

  @Override
  public void copy(int first, int count, ByteBuffer target) {
    boolean packed = encoding instanceof Encoding.GroupInt4;
    for (int r = first; r < first + count; r++) {
      for (int c = 0; c < columns; c += packed ? 2 : 1) {
        target.put((byte) (packed ? code(r, c) | code(r, c + 1) << 4 : code(r, c)));
      }
    }
  }

  @Override
  public void readScales(int row, float[] out) {
    for (int c = 0; c < scaleColumns(); c++) {
      out[c] = scale(row, c);
    }
  }
}
