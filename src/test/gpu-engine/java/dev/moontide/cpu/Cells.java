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

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.cpu.vector.Bf16;
import dev.moontide.tensor.DType;
import dev.moontide.tensor.MatrixSource;
import dev.moontide.tensor.Ops;
import dev.moontide.tensor.ReferenceOps;
import dev.moontide.tensor.Routing;
import dev.moontide.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Cells of tensors of either implementation, set and compared. */
final class Cells {
  private Cells() {}

  /** All this CPU can compute with: native bf16 where it has it, the others everywhere. */
  static List<Arithmetic> arithmetics() {
    List<Arithmetic> all = new ArrayList<>(List.of(Arithmetic.F32, Arithmetic.WIDENED));
    try (Dnnl dnnl = new Dnnl()) {
      if (NativeBf16.available(dnnl)) {
        all.add(Arithmetic.BF16);
      }
    }
    return all;
  }

  /** The operations in float64, rounding what {@code arithmetic} keeps in bf16. */
  static ReferenceOps reference(Arithmetic arithmetic) {
    return new ReferenceOps(arithmetic.stored(), arithmetic.operand());
  }

  static void set(Tensor tensor, int row, int column, float value) {
    if (tensor instanceof FloatTensor floats) {
      floats.values[row * floats.columns() + column] = value;
    } else if (tensor instanceof Bf16Tensor bf16) {
      bf16.values[row * bf16.columns() + column] = Bf16.fromFloat(value);
    } else {
      ((ReferenceOps.Values) tensor).set(row, column, value);
    }
  }

  static double get(Tensor tensor, int row, int column) {
    if (tensor instanceof FloatTensor floats) {
      return floats.values[row * floats.columns() + column];
    } else if (tensor instanceof Bf16Tensor bf16) {
      return Bf16.toFloat(bf16.values[row * bf16.columns() + column]);
    } else {
      return ((ReferenceOps.Values) tensor).get(row, column);
    }
  }

  static int expert(Routing routing, int t, int k) {
    return routing instanceof TokenRouting cpu
        ? cpu.experts[t * cpu.topK() + k]
        : ((ReferenceOps.Choices) routing).expert(t, k);
  }

  static double weight(Routing routing, int t, int k) {
    return routing instanceof TokenRouting cpu
        ? cpu.weights[t * cpu.topK() + k]
        : ((ReferenceOps.Choices) routing).weight(t, k);
  }

  /** A float32 tensor whose rows are the given rows of {@code values}, with NaN below them. */
  static Tensor floats(Ops ops, MatrixSource values, int... rows) {
    return filled(ops.floats(rows.length + 2, values.columns()), values, DType.F32, rows);
  }

  /** The same as an operand. */
  static Tensor operand(Ops ops, MatrixSource values, int... rows) {
    return filled(ops.operand(rows.length + 2, values.columns()), values, ops.dtype(), rows);
  }

  private static Tensor filled(Tensor tensor, MatrixSource values, DType type, int... rows) {
    float[] row = new float[values.columns()];
    for (int r = 0; r < tensor.capacity(); r++) {
      Arrays.fill(row, Float.NaN);
      if (r < rows.length) {
        values.read(rows[r], 1, row, 0);
      }
      for (int c = 0; c < row.length; c++) {
        float value = type == DType.BF16 ? ReferenceOps.bf16(row[c]) : row[c];
        set(tensor, r, c, value);
      }
    }
    return tensor;
  }

  /** {@code 0 … n − 1}. */
  static int[] upTo(int n) {
    int[] all = new int[n];
    Arrays.setAll(all, i -> i);
    return all;
  }

  /**
   * Compares the first {@code n} rows, relative to the root mean square of the expected row (at least
   * 0.1: a short row may cancel) or, where that is more, to the expected number.
   */
  static void assertClose(String what, Tensor expected, Tensor actual, int n, double tolerance) {
    for (int r = 0; r < n; r++) {
      double square = 0;
      for (int c = 0; c < expected.columns(); c++) {
        square += Math.pow(get(expected, r, c), 2);
      }
      double norm = Math.max(0.1, Math.sqrt(square / expected.columns()));
      for (int c = 0; c < expected.columns(); c++) {
        double error = Math.abs(get(actual, r, c) - get(expected, r, c));
        String place = "%s: row %d of %d, column %d".formatted(what, r, n, c);
        assertTrue(
            error <= tolerance * Math.max(norm, Math.abs(get(expected, r, c))),
            "%s: %s, expected %s (row norm %s)"
                .formatted(place, get(actual, r, c), get(expected, r, c), norm));
      }
    }
  }

  /** The bits of a row, −0 and NaN payloads included. */
  static int[] bits(Tensor tensor, int row) {
    int[] bits = new int[tensor.columns()];
    Arrays.setAll(bits, c -> Float.floatToRawIntBits((float) get(tensor, row, c)));
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
