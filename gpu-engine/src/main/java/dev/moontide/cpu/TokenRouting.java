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

import dev.moontide.tensor.Routing;

/** Experts and weights of each token, {@code topK} side by side in ascending order of expert. */
final class TokenRouting implements Routing {
  final int[] experts;
  final float[] weights;
  private final int capacity;
  private final int topK;

  TokenRouting(int capacity, int topK) {
    this.capacity = capacity;
    this.topK = topK;
    experts = new int[capacity * topK];
    weights = new float[capacity * topK];
  }

  @Override
  public int capacity() {
    return capacity;
  }

  @Override
  public int topK() {
    return topK;
  }
}
