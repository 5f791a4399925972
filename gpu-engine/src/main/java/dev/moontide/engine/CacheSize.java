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

import dev.moontide.api.EngineOptions;
import dev.moontide.api.MoontideException;
import dev.moontide.model.ModelConfig;
import dev.moontide.tensor.Ops;

/**
 * How many blocks the latent cache gets. On the CPU the cache lies on the Java heap beside
 * everything else, so by default it takes at most a quarter of it, and never more than the largest
 * batch can fill.
 */
final class CacheSize {
  /** Tokens per block: small enough to share prefixes finely, large enough for short tables. */
  static final int BLOCK_SIZE = 16;

  private static final double HEAP_SHARE = 0.25;

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

  /** Blocks that {@code kv-cache-memory} (or the default share of {@code heapBytes}) pays for. */
  static int blocks(EngineOptions options, ModelConfig config, Ops ops, long heapBytes) {
    long blockBytes = ops.kvBlockBytes(config.numHiddenLayers(), BLOCK_SIZE, config.attention());
    long perSequence = ceilDiv(maxModelLength(options, config), BLOCK_SIZE);
    long useful = perSequence * options.maxSequences();
    long bytes =
        options.kvCacheBytes() > 0 ? options.kvCacheBytes() : (long) (heapBytes * HEAP_SHARE);
    long blocks = Math.min(bytes / blockBytes, useful);
    if (blocks < 1) {
      throw MoontideException.configuration(
          "kv-cache-memory is %d bytes, one block of %d tokens takes %d: give at least that, or a"
              + " larger heap (--driver-memory, spark.executor.memory)",
          bytes, BLOCK_SIZE, blockBytes);
    }
    return (int) Math.min(blocks, Integer.MAX_VALUE / BLOCK_SIZE);
  }

  private static long ceilDiv(long a, long b) {
    return (a + b - 1) / b;
  }
}
