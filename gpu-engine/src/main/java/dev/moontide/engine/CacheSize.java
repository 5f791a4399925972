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
package dev.moontide.engine;

import com.sun.management.OperatingSystemMXBean;
import dev.moontide.api.EngineOptions;
import dev.moontide.api.MoontideException;
import dev.moontide.model.ModelConfig;
import dev.moontide.tensor.Ops;
import java.lang.management.ManagementFactory;

/**
 * How many blocks the latent cache gets. On the CPU it lies outside the Java heap, where the system
 * commits a page only once it is written; so by default the cache may grow to a quarter of the
 * machine's (or container's) memory, and never beyond what the largest batch can fill.
 */
final class CacheSize {
  /**
   * Tokens per block, but for backends with a size of their own: small enough to share prefixes
   * finely, large enough that a product with a block is worth its call.
   */
  static final int BLOCK_SIZE = 32;

  private static final int MEMORY_SHARE = 4;

  private CacheSize() {}

  /** Longest prompt and output together: the option, at most the model's own limit. */
  static int maxModelLength(EngineOptions options, ModelConfig config) {
    int limit = config.maxPositionEmbeddings();
    if (options.maxModelLength() > limit) {
      throw MoontideException.configuration(
          "max-model-len is %d: the model in %s has %d positions (max_position_embeddings)",
          options.maxModelLength(), options.model(), limit);
    }
    return options.maxModelLength() == 0 ? limit : options.maxModelLength();
  }

  /** Blocks that {@code kv-cache-memory}, or the default share of the memory, pays for. */
  static int blocks(EngineOptions options, ModelConfig config, Ops ops, int blockSize) {
    long blockBytes = ops.kvBlockBytes(config.numHiddenLayers(), blockSize, config.attention());
    long bytes = options.kvCacheBytes() > 0 ? options.kvCacheBytes() : memory() / MEMORY_SHARE;
    long blocks = Math.min(bytes / blockBytes, usefulBlocks(options, config, blockSize));
    if (blocks < 1) {
      throw MoontideException.configuration(
          "kv-cache-memory is %d bytes, and one block of %d tokens takes %d: give at least that",
          bytes, blockSize, blockBytes);
    }
    return (int) Math.min(blocks, Integer.MAX_VALUE / blockSize);
  }

  /** Blocks of the largest batch of longest sequences. */
  static long usefulBlocks(EngineOptions options, ModelConfig config, int blockSize) {
    long perSequence = (maxModelLength(options, config) + blockSize - 1L) / blockSize;
    return perSequence * options.maxSequences();
  }

  private static long memory() {
    return ManagementFactory.getOperatingSystemMXBean() instanceof OperatingSystemMXBean system
        ? system.getTotalMemorySize()
        : Runtime.getRuntime().maxMemory();
  }
}
