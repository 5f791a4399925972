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

import dev.moontide.tensor.Attention;
import dev.moontide.tensor.KvCache;
import java.nio.ByteBuffer;

/**
 * The latent cache in the layouts oneDNN multiplies with. A block of tokens is two {@link
 * LatentLayout pages} a layer: one for the scores, in which a token is a column of latent and
 * rotated key, and one for the weighted sum, in which a token is a row of latent. The latent is
 * thus stored twice, which is what lets a step read its whole context without rearranging any of
 * it.
 *
 * <p>Masked entries take part in the weighted sum with weight 0, so pages hold finite numbers at
 * all times: they begin as zeros, and a latent that is not finite is written as 0 there and as NaN
 * among the keys, which makes NaN of whatever attends to it.
 */
final class LatentCache implements KvCache {
  private static final long BUFFER_BYTES = 1L << 30;

  private final int blocks;
  private final int blockSize;
  private final LatentLayout layout;
  private final long[] addresses;
  private final ByteBuffer[][] buffers;
  private final int blocksPerBuffer;

  LatentCache(
      MatmulKernels kernels,
      NativeMemory memory,
      Arithmetic arithmetic,
      int layers,
      int blocks,
      int blockSize,
      Attention attention) {
    this.blocks = blocks;
    this.blockSize = blockSize;
    layout = new LatentLayout(kernels, arithmetic, blockSize, attention);
    blocksPerBuffer = (int) Math.max(1, BUFFER_BYTES / layout.blockBytes());
    int count = (blocks + blocksPerBuffer - 1) / blocksPerBuffer;
    addresses = new long[layers];
    buffers = new ByteBuffer[layers][count];
    for (int layer = 0; layer < layers; layer++) {
      addresses[layer] = memory.allocate(blocks * layout.blockBytes(), "the latent cache");
      for (int b = 0; b < count; b++) {
        int size = Math.min(blocksPerBuffer, blocks - b * blocksPerBuffer);
        buffers[layer][b] =
            Address.view(keysAddress(layer, b * blocksPerBuffer), size * layout.blockBytes());
      }
    }
  }

  LatentLayout layout() {
    return layout;
  }

  /** The page of latents and rotated keys, tokens being columns. */
  long keysAddress(int layer, int block) {
    return addresses[layer] + block * layout.blockBytes();
  }

  /** The page of latents, tokens being rows. */
  long valuesAddress(int layer, int block) {
    return keysAddress(layer, block) + layout.valuesOffset();
  }

  /** The buffer block {@code block} lies in. */
  ByteBuffer buffer(int layer, int block) {
    return buffers[layer][block / blocksPerBuffer];
  }

  /** Where in its buffer block {@code block} begins, in bytes. */
  int offset(int block) {
    return (int) (block % blocksPerBuffer * layout.blockBytes());
  }

  /** Copies block {@code source} of every layer to block {@code target}. */
  void copy(int source, int target) {
    for (int layer = 0; layer < buffers.length; layer++) {
      buffer(layer, target)
          .put(offset(target), buffer(layer, source), offset(source), (int) layout.blockBytes());
    }
  }

  @Override
  public int blocks() {
    return blocks;
  }

  @Override
  public int blockSize() {
    return blockSize;
  }
}
