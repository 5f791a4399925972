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
import dev.moontide.tensor.Tensor;
import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.nio.ShortBuffer;

/**
 * Rows in native memory, which products read and write where they stand. Below the last row is room
 * for a {@linkplain Lane#paddedRows padded} call to read.
 */
final class NativeTensor implements Tensor {
  private final DType type;
  private final int rows;
  private final int columns;
  private final long address;
  private final ShortBuffer shorts;
  private final FloatBuffer floats;

  NativeTensor(NativeMemory memory, DType type, int rows, int columns) {
    this.type = type;
    this.rows = rows;
    this.columns = columns;
    long elements = (rows + (long) Lane.MOST_PADDING) * columns;
    address = memory.allocate(elements * type.bytes(), "activations");
    ByteBuffer view = Address.view(address, Math.multiplyExact(rows, columns * type.bytes()));
    shorts = view.asShortBuffer();
    floats = view.asFloatBuffer();
  }

  DType type() {
    return type;
  }

  /** Where row {@code row} begins. */
  long address(int row) {
    return address + (long) row * columns * type.bytes();
  }

  /** The numbers of a tensor in bf16, row after row. */
  ShortBuffer shorts() {
    return shorts;
  }

  /** The numbers of a tensor in float32, row after row. */
  FloatBuffer floats() {
    return floats;
  }

  /** Writes the first {@code n} numbers of a row, rounded where the tensor is bf16. */
  void put(Lane lane, int row, float[] x, int from, int n) {
    switch (type) {
      case BF16 -> {
        short[] rounded = lane.shorts(n);
        Bf16.fromFloats(x, from, rounded, 0, n);
        shorts.put(row * columns, rounded, 0, n);
      }
      case F32 -> floats.put(row * columns, x, from, n);
    }
  }

  /** Reads {@code n} numbers of a row of float32. */
  void get(int row, int column, float[] out, int at, int n) {
    floats.get(row * columns + column, out, at, n);
  }

  /** Copies row {@code row} to a tile's row {@code at}, where room must be. */
  void copyRow(int row, Tile to, int at) {
    switch (type) {
      case BF16 -> to.shorts().put(at * columns, shorts, row * columns, columns);
      case F32 -> to.floats().put(at * columns, floats, row * columns, columns);
    }
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
