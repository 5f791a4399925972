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

/** A matrix of BF16, F16 or F32. */
public final class PlainMatrix implements StoredMatrix {
  /** Stays in the second-level cache between the copy out of the mapping and the conversion. */
  private static final int PIECE_BYTES = 1 << 16;

  private static final VarHandle SHORT =
      MethodHandles.byteArrayViewVarHandle(short[].class, ByteOrder.LITTLE_ENDIAN);

  private final TensorData data;
  private final int rows;
  private final int columns;

  PlainMatrix(TensorData data, int rows, int columns) {
    this.data = data;
    this.rows = rows;
    this.columns = columns;
  }

  /** Whether elements of {@code type} are numbers by themselves, which this class reads. */
  static boolean isPlain(StoredType type) {
    return type == StoredType.BF16 || type == StoredType.F16 || type == StoredType.F32;
  }

  @Override
  public String name() {
    return data.tensor().name();
  }

  /** The file it is in, for messages. */
  String file() {
    return data.file();
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
    return data.tensor().bytes();
  }

  @Override
  public void checkScales() {}

  @Override
  public void read(int first, int count, float[] out, int offset) {
    Objects.checkFromIndexSize(first, count, rows);
    StoredType type = data.tensor().type();
    int size = type.bytes();
    long from = (long) first * columns * size;
    int left = Math.multiplyExact(count, columns);
    byte[] piece = new byte[Math.min(PIECE_BYTES, Math.multiplyExact(left, size))];
    while (left > 0) {
      int n = Math.min(left, piece.length / size);
      data.copy(from, piece, n * size);
      decode(type, piece, n, out, offset);
      from += (long) n * size;
      offset += n;
      left -= n;
    }
  }

  @Override
  public Encoding encoding() {
    return data.tensor().type() == StoredType.BF16 ? new Encoding.Bf16() : new Encoding.Numbers();
  }

  @Override
  public void copy(int first, int count, ByteBuffer target) {
    Objects.checkFromIndexSize(first, count, rows);
    long rowBytes = (long) columns * data.tensor().type().bytes();
    data.copy(first * rowBytes, count * rowBytes, target);
  }

  private static void decode(StoredType type, byte[] piece, int n, float[] out, int offset) {
    switch (type) {
      case BF16 -> bf16(piece, n, out, offset);
      case F16 -> f16(piece, n, out, offset);
      case F32 ->
          ByteBuffer.wrap(piece).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().get(out, offset, n);
      default -> throw new IllegalStateException(type + " is not plain");
    }
  }

  private static void bf16(byte[] piece, int n, float[] out, int offset) {
    for (int i = 0; i < n; i++) {
      out[offset + i] = Float.intBitsToFloat((short) SHORT.get(piece, 2 * i) << 16);
    }
  }

  private static void f16(byte[] piece, int n, float[] out, int offset) {
    float[] values = Float16.VALUES;
    for (int i = 0; i < n; i++) {
      out[offset + i] = values[(short) SHORT.get(piece, 2 * i) & 0xffff];
    }
  }
}
