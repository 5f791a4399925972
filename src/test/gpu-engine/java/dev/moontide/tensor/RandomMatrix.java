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

import java.util.SplittableRandom;

/** A matrix of random numbers in ±{@code scale}, each a function of its place and the name alone. */
public record RandomMatrix(String name, int rows, int columns, float scale) implements MatrixSource {
  @Override
  public void read(int first, int count, float[] out, int offset) {
    for (int i = 0; i < count * columns; i++) {
      out[offset + i] = value((long) first * columns + i);
    }
  }

  private float value(long place) {
    SplittableRandom random = new SplittableRandom(name.hashCode() * 1_000_003L + place);
    return scale * (2 * (float) random.nextDouble() - 1);
  }

  /** Element ({@code row}, {@code column}). */
  public float at(int row, int column) {
    return value((long) row * columns + column);
  }
}
