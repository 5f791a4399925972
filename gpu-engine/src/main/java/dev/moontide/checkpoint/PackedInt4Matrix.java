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
package dev.moontide.checkpoint;

import dev.moontide.tensor.Encoding;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Objects;

/**
 * A matrix of INT4, eight to an I32 along the row, least significant first, with a scale for each
 * group of a row; the last group may be partial. {@code w = (nibble − 8) · scale[group]}.
 */
public final class PackedInt4Matrix implements StoredMatrix {
  /** Weights in an I32. */
  static final int PER_WORD = 8;

  private static final VarHandle INT =
      MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);

  private final TensorData packed;
  private final Scales scales;
  private final Quantization.PackedInt4 group;
  private final int rows;
  private final int columns;

  /**
   * @param packed [rows, columns / 8]
   * @param scales [rows, ⌈columns / groupSize⌉]
   */
  PackedInt4Matrix(
      TensorData packed, Scales scales, Quantization.PackedInt4 group, int rows, int columns) {
    this.packed = packed;
    this.scales = scales;
    this.group = group;
    this.rows = rows;
    this.columns = columns;
  }

  @Override
  public String name() {
    return packed.tensor().name();
  }

  @Override
  public int rows() {
    return rows;
  }

  @Override
  public int columns() {
    return columns;
  }

  @Override
  public long storedBytes() {
    return packed.tensor().bytes() + scales.storedBytes();
  }

  @Override
  public void checkScales() {
    scales.check();
  }

  @Override
  public void read(int first, int count, float[] out, int offset) {
    Objects.checkFromIndexSize(first, count, rows);
    int rowBytes = columns / 2;
    byte[] row = new byte[rowBytes];
    float[] rowScales = new float[scales.columns()];
    int groupWords = group.groupSize() / PER_WORD;
    int words = columns / PER_WORD;
    for (int r = first; r < first + count; r++) {
      scales.read(r, rowScales);
      packed.copy((long) r * rowBytes, row, rowBytes);
      int start = offset + (r - first) * columns;
      for (int g = 0; g < rowScales.length; g++) {
        int from = g * groupWords;
        decode(row, from, Math.min(words, from + groupWords), rowScales[g], out, start);
      }
    }
  }

  @Override
  public Encoding encoding() {
    return new Encoding.GroupInt4(group.groupSize());
  }

  @Override
  public void copy(int first, int count, ByteBuffer target) {
    Objects.checkFromIndexSize(first, count, rows);
    long rowBytes = columns / 2;
    packed.copy(first * rowBytes, count * rowBytes, target);
  }

  @Override
  public void readScales(int row, float[] out) {
    scales.read(row, out);
  }

  private static void decode(byte[] row, int from, int to, float scale, float[] out, int offset) {
    for (int i = from; i < to; i++) {
      int word = (int) INT.get(row, i * Integer.BYTES);
      int at = offset + i * PER_WORD;
      out[at] = ((word & 15) - 8) * scale;
      out[at + 1] = ((word >>> 4 & 15) - 8) * scale;
      out[at + 2] = ((word >>> 8 & 15) - 8) * scale;
      out[at + 3] = ((word >>> 12 & 15) - 8) * scale;
      out[at + 4] = ((word >>> 16 & 15) - 8) * scale;
      out[at + 5] = ((word >>> 20 & 15) - 8) * scale;
      out[at + 6] = ((word >>> 24 & 15) - 8) * scale;
      out[at + 7] = ((word >>> 28) - 8) * scale;
    }
  }
}
