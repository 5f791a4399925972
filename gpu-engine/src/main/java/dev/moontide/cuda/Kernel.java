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
package dev.moontide.cuda;

import jcuda.driver.CUfunction;

/**
 * A kernel ready to launch.
 *
 * @param threads of a block
 * @param sharedBytes dynamic shared memory of a block
 */
record Kernel(String name, CUfunction function, int threads, int sharedBytes) {
  /** The same, launched with {@code bytes} of dynamic shared memory, at most what it has. */
  Kernel withShared(int bytes) {
    return new Kernel(name, function, threads, bytes);
  }
}
