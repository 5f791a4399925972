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
 * A matrix of activations on a backend's device: {@link #capacity()} rows of {@link #columns()}
 * elements, row-major. How it is stored is the backend's own business; a tensor works only with the
 * {@link Ops} that made it, which also frees it.
 */
public interface Tensor {
  /** Rows it has room for. */
  int capacity();

  /** Elements per row. */
  int columns();
}
