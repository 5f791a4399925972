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
import dev.moontide.tensor.MatrixSource;

/** A matrix as a checkpoint stores it. */
public sealed interface StoredMatrix extends MatrixSource
    permits PlainMatrix, BlockFp8Matrix, PackedInt4Matrix {
  /** Bytes it occupies in its files, scales included. */
  long storedBytes();

  /**
   * Looks at every scale; {@link #read} looks at those it uses.
   *
   * @throws MoontideException at the first that is not finite
   */
  void checkScales();
}
