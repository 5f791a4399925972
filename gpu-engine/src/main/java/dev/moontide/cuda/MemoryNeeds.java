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

/**
 * Device memory an engine needs beside its latent cache.
 *
 * @param weights all of them, in the forms they are multiplied in
 * @param workspace activations of the largest step
 * @param scratch what the operation that needs most works in
 * @param cacheSpare what the latent cache takes beside its blocks
 */
public record MemoryNeeds(long weights, long workspace, long scratch, long cacheSpare) {
  /** Nothing reserved. */
  public static final MemoryNeeds NONE = new MemoryNeeds(0, 0, 0, 0);

  /** All of it. */
  public long total() {
    return weights + workspace + scratch + cacheSpare;
  }
}
