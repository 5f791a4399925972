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

import java.nio.ByteBuffer;
import java.util.List;

/**
 * A matrix still in its file (or made up by a benchmark), read row by row while a backend converts
 * it. Implementations are safe for concurrent reads.
 */
public interface MatrixSource {
  /** The tensor's name, for messages. */
  String name();

  /** Output features (1 for a vector). */
  int rows();

  /** Input features. */
  int columns();

  /**
   * Decodes rows {@code [first, first + count)} to float32, row-major, into {@code out} from {@code
   * offset}. Quantised formats are dequantised: {@code w = q · scale}.
   */
  void read(int first, int count, float[] out, int offset);

  /** How the rows are stored. */
  default Encoding encoding() {
    return new Encoding.Numbers();
  }

  /**
   * Copies rows {@code [first, first + count)} as they are stored into {@code target} from its
   * position, which moves by as many bytes.
   *
   * @throws UnsupportedOperationException where the encoding is {@link Encoding.Numbers}
   */
  default void copy(int first, int count, ByteBuffer target) {
    throw new UnsupportedOperationException(name() + " is read as numbers");
  }

  /**
   * Reads row {@code row} of the matrix of scales into the start of {@code out}; none is NaN or
   * infinite.
   *
   * @throws UnsupportedOperationException where the encoding has no scales
   */
  default void readScales(int row, float[] out) {
    throw new UnsupportedOperationException(name() + " has no scales");
  }

  /** The matrices it is stacked of, the first on top; itself alone if it is not. */
  default List<MatrixSource> parts() {
    return List.of(this);
  }

  /** The matrices stacked by rows, as one; all have the same number of columns. */
  static MatrixSource stack(String name, List<MatrixSource> parts) {
    return new StackedSource(name, List.copyOf(parts));
  }
}
