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

import dev.moontide.tensor.Attention;

/** The latent cache: bf16 [layers, blocks, block size, latent + rope]. */
record CudaCache(int layers, int blocks, int blockSize, int width, Memory memory)
    implements DeviceCache {
  /** Bytes of one block of one layer. */
  static long blockBytes(int blockSize, Attention attention) {
    return (long) blockSize * attention.cacheColumns() * Short.BYTES;
  }

  @Override
  public long blockBytes() {
    return (long) blockSize * width * Short.BYTES;
  }

  /** Where the layer's blocks begin. */
  long address(int layer) {
    return memory.address() + offset(layer, 0);
  }

  @Override
  public long offset(int layer, int block) {
    return ((long) layer * blocks + block) * blockBytes();
  }
}
