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

import dev.moontide.tensor.Experts;

/**
 * One layer's routed experts: of each the panels of {@code gate‖up}, then those of {@code down}, in
 * one block of native memory.
 */
record ExpertWeights(Panels gateUp, Panels down, int count, long address) implements Experts {
  private static final int ALIGNMENT = 64;

  /** Bytes of one expert. */
  static long expertBytes(Panels gateUp, Panels down) {
    return align(gateUp.bytes()) + align(down.bytes());
  }

  private static long align(long bytes) {
    return (bytes + ALIGNMENT - 1) & -ALIGNMENT;
  }

  long gateUpAddress(int expert) {
    return address + expert * expertBytes(gateUp, down);
  }

  long downAddress(int expert) {
    return gateUpAddress(expert) + align(gateUp.bytes());
  }

  @Override
  public int intermediate() {
    return down.inputs();
  }

  @Override
  public long bytes() {
    return count * expertBytes(gateUp, down);
  }
}
