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
import dev.moontide.checkpoint.Checkpoint;
import dev.moontide.cuda.CudaDevice;
import dev.moontide.cuda.DeviceSizes;
import dev.moontide.cuda.HopperSizes;
import dev.moontide.cuda.KernelPath;
import dev.moontide.cuda.MemoryNeeds;
import dev.moontide.cuda.RowMajorSizes;
import dev.moontide.model.ModelConfig;
import dev.moontide.model.ModelWeights;
import dev.moontide.model.Workspace;
import java.util.List;
import java.util.Locale;

/**
 * How a model divides a GPU's memory: weights, workspace of the largest step, scratch, and the rest
 * latent cache. Made before anything is loaded.
 *
 * @param path the kernels it runs on
 * @param reason why on these
 * @param needs all but the cache's blocks
 * @param blockSize tokens of a cache block
 * @param blockBytes one cache block over all layers
 * @param usefulBlocks cache blocks beyond which there is no sequence to fill them
 */
public record MemoryPlan(
    KernelPath path,
    String reason,
    MemoryNeeds needs,
    int blockSize,
    long blockBytes,
    long usefulBlocks) {
  /** Left to the driver, the kernels and small buffers: this part of a device's memory. */
  private static final int RESERVE_SHARE = 50;

  /** What {@code checkpoint} takes on {@code device}; its headers are read, its weights are not. */
  static MemoryPlan of(
      EngineOptions options, ModelConfig config, Checkpoint checkpoint, CudaDevice device) {
    HopperSizes hopper = new HopperSizes();
    measure(options, config, checkpoint, hopper);
    RowMajorSizes mma = mma(options, config, checkpoint);
    KernelPath.Choice choice =
        KernelPath.choose(device, new KernelPath.Refusals(mma.refusal(), hopper.refusal()));
    return switch (choice.path()) {
      case HOPPER -> of(options, config, choice, hopper);
      case MMA -> of(options, config, choice, mma);
      case SIMPLE -> of(options, config, checkpoint, choice);
    };
  }

  private static RowMajorSizes mma(
      EngineOptions options, ModelConfig config, Checkpoint checkpoint) {
    RowMajorSizes sizes = new RowMajorSizes(KernelPath.MMA);
    measure(options, config, checkpoint, sizes);
    return sizes;
  }

  private static MemoryPlan of(
      EngineOptions options, ModelConfig config, Checkpoint checkpoint, KernelPath.Choice choice) {
    DeviceSizes sizes = DeviceSizes.of(choice.path());
    measure(options, config, checkpoint, sizes);
    return of(options, config, choice, sizes);
  }

  private static void measure(
      EngineOptions options, ModelConfig config, Checkpoint checkpoint, DeviceSizes sizes) {
    ModelWeights.load(checkpoint, config, sizes, 1);
    Workspace.allocate(config, sizes, options.maxBatchTokens());
  }

  private static MemoryPlan of(
      EngineOptions options, ModelConfig config, KernelPath.Choice choice, DeviceSizes sizes) {
    int blockSize = sizes.blockSize(CacheSize.BLOCK_SIZE);
    return new MemoryPlan(
        choice.path(),
        choice.reason(),
        sizes.needs(),
        blockSize,
        sizes.kvBlockBytes(config.numHiddenLayers(), blockSize, config.attention()),
        CacheSize.usefulBlocks(options, config, blockSize));
  }

  /** What the checkpoint that {@code options} name takes on {@code path}. */
  static MemoryPlan of(EngineOptions options, KernelPath path) {
    return of(
        options,
        ModelConfig.load(options.model()),
        Checkpoint.open(options.model()),
        new KernelPath.Choice(path, "it was asked for"));
  }

  /**
   * Cache blocks on {@code device}.
   *
   * @throws MoontideException if the model does not fit, saying what it needs and what would help
   */
  int blocks(EngineOptions options, CudaDevice device) {
    long usable = usable(device);
    long cache = options.kvCacheBytes() > 0 ? options.kvCacheBytes() : usable - needs.total();
    long blocks = Math.min(cache / blockBytes, usefulBlocks);
    if (options.kvCacheBytes() > 0 && blocks < 1) {
      throw MoontideException.configuration(
          "kv-cache-memory is %,d bytes, and one block of %d tokens takes %,d: give at least that",
          cache, blockSize, blockBytes);
    }
    if (blocks < 1 || needs.total() + blocks * blockBytes > usable) {
      throw MoontideException.configuration(
          "%s does not fit on %s: it needs %s (weights %s, workspace %s, scratch %s, latent cache %s"
              + " or more) and has %s free after its reserve. %s",
          options.model(),
          device.description(),
          size(needs.total() + Math.max(1, blocks) * blockBytes),
          size(needs.weights()),
          size(needs.workspace()),
          size(needs.scratch()),
          size(Math.max(1, blocks) * blockBytes),
          size(usable),
          remedy(usable));
    }
    return (int) Math.min(blocks, Integer.MAX_VALUE / blockSize);
  }

  private static long usable(CudaDevice device) {
    return device.freeBytes() - device.totalBytes() / RESERVE_SHARE;
  }

  private String remedy(long usable) {
    if (needs.weights() + blockBytes > usable) {
      return "The weights alone are too much: use a device with more memory, or --backend cpu";
    }
    return "Use a smaller max-batch-tokens (workspace and scratch grow with it) or kv-cache-memory, a"
        + " device with more memory, or --backend cpu";
  }

  /**
   * What the model that {@code options} name takes of its GPU, for people; on a machine without one
   * what it needs, and why there is no more to say.
   */
  public static List<String> report(EngineOptions options) {
    ModelConfig config = ModelConfig.load(options.model());
    Checkpoint checkpoint = Checkpoint.open(options.model());
    try (CudaDevice device = CudaDevice.open(options.gpu())) {
      return of(options, config, checkpoint, device).lines(options, device);
    } catch (MoontideException e) {
      boolean isSimple = mma(options, config, checkpoint).refusal().isPresent();
      MemoryPlan plan = of(options, isSimple ? KernelPath.SIMPLE : KernelPath.MMA);
      return List.of(
          "needs %s and latent cache of %s for each %d tokens"
              .formatted(size(plan.needs.total()), size(plan.blockBytes), plan.blockSize),
          String.valueOf(e.getMessage()));
    }
  }

  /** The plan for people, on {@code device}. */
  List<String> lines(EngineOptions options, CudaDevice device) {
    long blocks = blocks(options, device);
    return List.of(
        "device: %s, %s, %s of them free"
            .formatted(device.description(), size(device.totalBytes()), size(device.freeBytes())),
        "kernels: %s (%s)".formatted(path, reason),
        "weights: " + size(needs.weights()),
        "workspace: %s, for steps of %,d tokens"
            .formatted(
                size(needs.workspace() + needs.scratch() + needs.cacheSpare()),
                options.maxBatchTokens()),
        "latent cache: %s, %,d tokens".formatted(size(blocks * blockBytes), blocks * blockSize),
        "left: " + size(usable(device) - needs.total() - blocks * blockBytes));
  }

  private static String size(long bytes) {
    return bytes < 1 << 20
        ? String.format(Locale.ROOT, "%,d bytes", bytes)
        : String.format(Locale.ROOT, "%,.1f MiB", bytes / 1048576.0);
  }
}
