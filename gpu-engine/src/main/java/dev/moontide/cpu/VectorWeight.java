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

import dev.moontide.tensor.Weight;

/** A vector in float32, on the heap. */
final class VectorWeight implements Weight {
  private final float[] values;

  VectorWeight(float[] values) {
    this.values = values;
  }

  /** The vector itself, not to be changed. */
  float[] values() {
    return values;
  }

  @Override
  public int rows() {
    return 1;
  }

  @Override
  public int columns() {
    return values.length;
  }

  @Override
  public long bytes() {
    return (long) values.length * Float.BYTES;
  }
}
