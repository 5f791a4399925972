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
import dev.moontide.api.EngineOptions.Backend;
import dev.moontide.api.EngineOptions.Precision;
import dev.moontide.api.MoontideException;
import dev.moontide.checkpoint.Checkpoint;
import dev.moontide.cpu.CpuOps;
import dev.moontide.cuda.CudaDevice;
import dev.moontide.cuda.CudaOps;
import dev.moontide.model.ModelConfig;
import dev.moontide.tensor.Ops;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Opens the backend that options ask for. */
final class Backends {
  private static final Logger LOG = LoggerFactory.getLogger(Backends.class);

  private Backends() {}

  /**
   * A backend, open.
   *
   * @param blocks of its latent cache
   * @param blockSize tokens of a block
   */
  record Opened(Ops ops, Device device, int blocks, int blockSize) {}

  static Opened open(
      EngineOptions options, ModelConfig config, Checkpoint checkpoint, int threads) {
    return switch (options.backend()) {
      case CPU -> cpu(options, config, threads);
      case CUDA -> cuda(options, config, checkpoint);
      case AUTO -> auto(options, config, checkpoint, threads);
    };
  }

  /** The GPU if it takes the model, else the CPU; either way the log says why. */
  private static Opened auto(
      EngineOptions options, ModelConfig config, Checkpoint checkpoint, int threads) {
    Opened opened;
    try {
      opened = cuda(options, config, checkpoint);
    } catch (MoontideException e) {
      if (e.category() != MoontideException.Category.CONFIGURATION) {
        throw e;
      }
      LOG.info("backend auto: took the CPU. {}", e.getMessage());
      return cpu(options, config, threads);
    }
    LOG.info("backend auto: took the GPU, which the model fits: {}", opened.device().description());
    return opened;
  }

  private static Opened cpu(EngineOptions options, ModelConfig config, int threads) {
    CpuOps ops = CpuOps.create(options.precision(), threads);
    try {
      int blockSize = ops.blockSize(CacheSize.BLOCK_SIZE);
      int blocks = CacheSize.blocks(options, config, ops, blockSize);
      Device device = new Device(ops.description(), ops.dtype(), ops.threads(), ops::productNanos);
      return new Opened(ops, device, blocks, blockSize);
    } catch (RuntimeException | Error e) {
      ops.close();
      throw e;
    }
  }

  private static Opened cuda(EngineOptions options, ModelConfig config, Checkpoint checkpoint) {
    if (options.precision() == Precision.F32) {
      throw MoontideException.configuration(
          "backend %s computes in bf16 on a GPU, and dtype is f32: use --backend cpu, or --dtype"
              + " auto",
          options.backend() == Backend.CUDA ? "cuda" : "auto");
    }
    CudaDevice device = CudaDevice.open(options.gpu());
    int blocks;
    MemoryPlan plan;
    try {
      plan = MemoryPlan.of(options, config, checkpoint, device);
      LOG.info("CUDA kernels: {} ({})", plan.path(), plan.reason());
      blocks = plan.blocks(options, device);
      plan.lines(options, device).forEach(LOG::info);
    } catch (RuntimeException | Error e) {
      device.close();
      throw e;
    }
    CudaOps ops = CudaOps.create(device, plan.path(), plan.needs());
    return new Opened(
        ops, new Device(ops.description(), ops.dtype(), 1, () -> 0), blocks, plan.blockSize());
  }
}
