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

import dev.moontide.api.MoontideException;

/** The scales of a quantised matrix, a small matrix of its own; none may be NaN or infinite. */
final class Scales {
  private final PlainMatrix matrix;

  Scales(PlainMatrix matrix) {
    this.matrix = matrix;
  }

  int columns() {
    return matrix.columns();
  }

  long storedBytes() {
    return matrix.storedBytes();
  }

  /** Reads row {@code row} into the start of {@code out} and looks at each scale. */
  void read(int row, float[] out) {
    matrix.read(row, 1, out, 0);
    for (int i = 0; i < matrix.columns(); i++) {
      if (!Float.isFinite(out[i])) {
        throw MoontideException.checkpoint(
            "%s: tensor %s: the scale of block [%d, %d] is %s, expected a finite number: the"
                + " checkpoint is damaged, download it again",
            matrix.file(), matrix.name(), row, i, out[i]);
      }
    }
  }

  void check() {
    float[] row = new float[matrix.columns()];
    for (int i = 0; i < matrix.rows(); i++) {
      read(i, row);
    }
  }
}
