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

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArraySet;

/** Cells of tensors of either implementation, set and compared. */
public final class Cells {
  private static final Set<Backend> BACKENDS = new CopyOnWriteArraySet<>();

  private Cells() {}

  /** Lets cells of what {@code backend} makes be set and read. */
  public static void register(Backend backend) {
    BACKENDS.add(backend);
  }

  private static Backend backendOf(Object made) {
    return BACKENDS.stream().filter(b -> b.made(made)).findFirst().orElseThrow();
  }

  /** The operations in float64, rounding what {@code backend} keeps in bf16. */
  static ReferenceOps reference(Backend backend) {
    return new ReferenceOps(backend.dtype(), backend.operand());
  }

  static void set(Tensor tensor, int row, int column, float value) {
    float[] values = row(tensor, row);
    values[column] = value;
    setRow(tensor, row, values);
  }

  static void setRow(Tensor tensor, int row, float[] values) {
    if (tensor instanceof ReferenceOps.Values reference) {
      for (int c = 0; c < values.length; c++) {
        reference.set(row, c, values[c]);
      }
    } else {
      backendOf(tensor).setRow(tensor, row, values);
    }
  }

  static double get(Tensor tensor, int row, int column) {
    return tensor instanceof ReferenceOps.Values reference
        ? reference.get(row, column)
        : row(tensor, row)[column];
  }

  private static float[] row(Tensor tensor, int row) {
    if (tensor instanceof ReferenceOps.Values reference) {
      float[] values = new float[reference.columns()];
      for (int c = 0; c < values.length; c++) {
        values[c] = (float) reference.get(row, c);
      }
      return values;
    }
    return backendOf(tensor).row(tensor, row);
  }

  static int expert(Routing routing, int t, int k) {
    return routing instanceof ReferenceOps.Choices reference
        ? reference.expert(t, k)
        : backendOf(routing).expert(routing, t, k);
  }

  static double weight(Routing routing, int t, int k) {
    return routing instanceof ReferenceOps.Choices reference
        ? reference.weight(t, k)
        : backendOf(routing).weight(routing, t, k);
  }

  /** A float32 tensor whose rows are the given rows of {@code values}, with NaN below them. */
  public static Tensor floats(Ops ops, MatrixSource values, int... rows) {
    return filled(ops.floats(rows.length + 2, values.columns()), values, DType.F32, rows);
  }

  /** The same as an operand. */
  public static Tensor operand(Ops ops, MatrixSource values, int... rows) {
    return filled(ops.operand(rows.length + 2, values.columns()), values, ops.dtype(), rows);
  }

  /** The same for {@link Ops#answer}. */
  public static Tensor logits(Ops ops, MatrixSource values, int... rows) {
    return filled(ops.logits(rows.length + 2, values.columns()), values, DType.F32, rows);
  }

  private static Tensor filled(Tensor tensor, MatrixSource values, DType type, int... rows) {
    float[] row = new float[values.columns()];
    for (int r = 0; r < tensor.capacity(); r++) {
      Arrays.fill(row, Float.NaN);
      if (r < rows.length) {
        values.read(rows[r], 1, row, 0);
      }
      for (int c = 0; c < row.length && type == DType.BF16; c++) {
        row[c] = ReferenceOps.bf16(row[c]);
      }
      setRow(tensor, r, row);
    }
    return tensor;
  }

  /** {@code 0 … n − 1}. */
  public static int[] upTo(int n) {
    int[] all = new int[n];
    Arrays.setAll(all, i -> i);
    return all;
  }

  /**
   * Compares the first {@code n} rows, relative to the root mean square of the expected row (at
   * least 0.1: a short row may cancel) or, where that is more, to the expected number.
   */
  static void assertClose(String what, Tensor expected, Tensor actual, int n, double tolerance) {
    for (int r = 0; r < n; r++) {
      float[] found = row(actual, r);
      double square = 0;
      for (int c = 0; c < expected.columns(); c++) {
        square += Math.pow(get(expected, r, c), 2);
      }
      double norm = Math.max(0.1, Math.sqrt(square / expected.columns()));
      for (int c = 0; c < expected.columns(); c++) {
        double error = Math.abs(found[c] - get(expected, r, c));
        String place = "%s: row %d of %d, column %d".formatted(what, r, n, c);
        assertTrue(
            error <= tolerance * Math.max(norm, Math.abs(get(expected, r, c))),
            "%s: %s, expected %s (row norm %s)"
                .formatted(place, found[c], get(expected, r, c), norm));
      }
    }
  }

  /** The bits of a row, −0 and NaN payloads included. */
  static int[] bits(Tensor tensor, int row) {
    int[] bits = new int[tensor.columns()];
    float[] values = row(tensor, row);
    Arrays.setAll(bits, c -> Float.floatToRawIntBits(values[c]));
    return bits;
  }

  /** Checks that row {@code row} has the bits of {@code expected}. */
  static void assertBits(String what, int[] expected, Tensor tensor, int row) {
    int[] actual = bits(tensor, row);
    for (int c = 0; c < expected.length; c++) {
      int column = c;
      assertEquals(
          Float.intBitsToFloat(expected[c]),
          Float.intBitsToFloat(actual[c]),
          () -> "%s: row %d, column %d".formatted(what, row, column));
      assertEquals(expected[c], actual[c], what);
    }
  }
}
