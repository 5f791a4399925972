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

/** Rounds numbers on their way into a tile. */
final class Staging {
  private Staging() {}

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
