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

/** Copies rows of operands into a lane's source tile. */
final class Staging {
  private Staging() {}

  /** Rows {@code [first, first + count)} of an operand, one below the other. */
  static void rows(Lane lane, Tensor x, int first, int count) {
    int from = first * x.columns();
    int n = count * x.columns();
    if (x instanceof Bf16Tensor bf16) {
      lane.source.reserve(2L * n);
      lane.source.shorts().put(0, bf16.values, from, n);
    } else {
      lane.source.reserve(4L * n);
      lane.source.floats().put(0, ((FloatTensor) x).values, from, n);
    }
  }

  /** Row {@code row} of an operand, as the tile's row {@code at}; room must be there. */
  static void row(Lane lane, Tensor x, int row, int at) {
    int columns = x.columns();
    if (x instanceof Bf16Tensor bf16) {
      lane.source.shorts().put(at * columns, bf16.values, row * columns, columns);
    } else {
      lane.source.floats().put(at * columns, ((FloatTensor) x).values, row * columns, columns);
    }
  }

  /** The first {@code n} floats, rounded to {@code type}, into a tile from element {@code at}. */
  static void floats(Lane lane, DType type, float[] x, int n, Tile to, int at) {
    switch (type) {
      case BF16 -> {
        short[] rounded = lane.shorts(n);
        Bf16.fromFloats(x, 0, rounded, 0, n);
        to.shorts().put(at, rounded, 0, n);
      }
      case F32 -> to.floats().put(at, x, 0, n);
    }
  }
}
