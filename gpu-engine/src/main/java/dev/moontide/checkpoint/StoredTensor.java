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

import java.util.List;

/**
 * A tensor as its file's header describes it.
 *
 * @param name unique in a checkpoint
 * @param type of its elements
 * @param shape sizes, outermost first; row-major
 * @param position of its first byte in the file
 * @param bytes it occupies
 */
public record StoredTensor(
    String name, StoredType type, List<Long> shape, long position, long bytes) {
  public StoredTensor {
    shape = List.copyOf(shape);
  }

  /** Position of the byte after its last. */
  long end() {
    return position + bytes;
  }
}
