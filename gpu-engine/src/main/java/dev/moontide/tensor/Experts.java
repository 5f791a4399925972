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

/**
 * One layer's routed experts on a backend's device: for each expert the stacked {@code gate‖up}
 * [2·intermediate, hidden] and {@code down} [hidden, intermediate].
 */
public interface Experts {
  /** {@code n_routed_experts}. */
  int count();

  /** {@code moe_intermediate_size}. */
  int intermediate();

  /** Bytes they occupy on the device. */
  long bytes();
}
