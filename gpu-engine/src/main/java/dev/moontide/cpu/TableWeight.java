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

import dev.moontide.cpu.vector.Bf16;
import dev.moontide.tensor.DType;
import dev.moontide.tensor.MatrixSource;
import dev.moontide.tensor.Weight;
import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.nio.ShortBuffer;

/** An embedding table: rows as they are, in native memory, seen through buffers of whole rows. */
final class TableWeight implements Weight {
  private static final long BUFFER_BYTES = 1L << 30;
  private static final int CHUNK_ELEMENTS = 1 << 20;

  private final DType type;
  private final int rows;
  private final int columns;
  private final int rowsPerBuffer;
  private final ShortBuffer[] shorts;
  private final FloatBuffer[] floats;

  TableWeight(DType type, MatrixSource source, NativeMemory memory) {
    this.type = type;
    rows = source.rows();
    columns = source.columns();
    long rowBytes = (long) columns * type.bytes();
    rowsPerBuffer = (int) Math.min(rows, Math.max(1, BUFFER_BYTES / rowBytes));
    long address = memory.allocate(bytes(), source.name());
    int buffers = (rows + rowsPerBuffer - 1) / rowsPerBuffer;
    shorts = new ShortBuffer[buffers];
    floats = new FloatBuffer[buffers];
    for (int b = 0; b < buffers; b++) {
      int count = Math.min(rowsPerBuffer, rows - b * rowsPerBuffer);
      ByteBuffer view =
          Address.view(address + (long) b * rowsPerBuffer * rowBytes, count * rowBytes);
      shorts[b] = view.asShortBuffer();
      floats[b] = view.asFloatBuffer();
    }
    load(source);
  }

  private void load(MatrixSource source) {
    int step = Math.max(1, CHUNK_ELEMENTS / columns);
    float[] decoded = new float[Math.min(step, rows) * columns];
    short[] rounded = new short[type == DType.BF16 ? columns : 0];
    for (int first = 0; first < rows; first += step) {
      int count = Math.min(step, rows - first);
      source.read(first, count, decoded, 0);
      for (int r = 0; r < count; r++) {
        int buffer = (first + r) / rowsPerBuffer;
        int at = (first + r) % rowsPerBuffer * columns;
        switch (type) {
          case BF16 -> {
            Bf16.fromFloats(decoded, r * columns, rounded, 0, columns);
            shorts[buffer].put(at, rounded);
          }
          case F32 -> floats[buffer].put(at, decoded, r * columns, columns);
        }
      }
    }
  }

  /** Copies row {@code row} in float32; {@code scratch} has room for a row. */
  void read(int row, float[] out, int offset, short[] scratch) {
    int buffer = row / rowsPerBuffer;
    int at = row % rowsPerBuffer * columns;
    switch (type) {
      case BF16 -> {
        shorts[buffer].get(at, scratch, 0, columns);
        Bf16.toFloats(scratch, 0, out, offset, columns);
      }
      case F32 -> floats[buffer].get(at, out, offset, columns);
    }
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
  public long bytes() {
    return (long) rows * columns * type.bytes();
  }
}
