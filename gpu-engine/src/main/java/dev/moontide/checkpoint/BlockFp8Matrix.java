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
import java.nio.ByteBuffer;
import java.util.Objects;

/**
 * A matrix of FP8 E4M3 with a float scale for each block of {@code blockRows × blockColumns}; the
 * last blocks of either direction may be partial. {@code w = fp8 · scale_inv[block]}.
 */
public final class BlockFp8Matrix implements StoredMatrix {
  private final TensorData data;
  private final Scales scales;
  private final Quantization.BlockFp8 block;
  private final int rows;
  private final int columns;

  /**
   * @param data [rows, columns]
   * @param scales [⌈rows / blockRows⌉, ⌈columns / blockColumns⌉]
   */
  BlockFp8Matrix(
      TensorData data, Scales scales, Quantization.BlockFp8 block, int rows, int columns) {
    this.data = data;
    this.scales = scales;
    this.block = block;
    this.rows = rows;
    this.columns = columns;
  }

  @Override
  public String name() {
    return data.tensor().name();
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
    return data.tensor().bytes() + scales.storedBytes();
  }

  @Override
  public void checkScales() {
    scales.check();
  }

  @Override
  public void read(int first, int count, float[] out, int offset) {
    Objects.checkFromIndexSize(first, count, rows);
    byte[] row = new byte[columns];
    float[] rowScales = new float[scales.columns()];
    for (int r = first; r < first + count; r++) {
      if (r == first || r % block.blockRows() == 0) {
        scales.read(r / block.blockRows(), rowScales);
      }
      data.copy((long) r * columns, row, columns);
      int start = offset + (r - first) * columns;
      for (int b = 0; b < rowScales.length; b++) {
        int from = b * block.blockColumns();
        int to = Math.min(columns, from + block.blockColumns());
        decode(row, from, to, rowScales[b], out, start);
      }
    }
  }

  @Override
  public Encoding encoding() {
    return new Encoding.BlockFp8(block.blockRows(), block.blockColumns());
  }

  @Override
  public void copy(int first, int count, ByteBuffer target) {
    Objects.checkFromIndexSize(first, count, rows);
    data.copy((long) first * columns, (long) count * columns, target);
  }

  @Override
  public void readScales(int row, float[] out) {
    scales.read(row, out);
  }

  private static void decode(byte[] row, int from, int to, float scale, float[] out, int offset) {
    float[] values = Float8E4M3.VALUES;
    for (int i = from; i < to; i++) {
      out[offset + i] = values[row[i] & 0xff] * scale;
    }
  }
}
