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

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.api.EngineOptions;
import dev.moontide.api.EngineOptions.Backend;
import dev.moontide.api.EngineOptions.Precision;
import dev.moontide.api.MoontideException;
import dev.moontide.checkpoint.Checkpoint;
import dev.moontide.cuda.CudaDevice;
import dev.moontide.cuda.CudaOps;
import dev.moontide.cuda.Emulation;
import dev.moontide.model.Golden;
import dev.moontide.model.ModelConfig;
import dev.moontide.model.ModelWeights;
import dev.moontide.model.Workspace;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Which device an engine gets, and how its memory is planned. */
class BackendsTest {
  @BeforeEach
  void start() {
    Emulation.start();
    Emulation.configure();
  }

  @AfterEach
  void reset() {
    Emulation.configure();
  }

  private static EngineOptions options(String model, Backend backend) {
    return new EngineOptions(Golden.folder(model), backend, Precision.AUTO, 64, 4, 0, 256, 1, true);
  }

  private static Backends.Opened open(EngineOptions options) {
    return Backends.open(
        options, ModelConfig.load(options.model()), Checkpoint.open(options.model()), 1);
  }

  @Test
  void autoTakesTheGpuIfTheModelFits() {
    try (CudaOps ops = (CudaOps) open(options("micro-k2", Backend.AUTO)).ops()) {
      assertTrue(ops.description().startsWith("cuda"));
    }
    Emulation.configure("memory=1000000");
    Backends.Opened opened = open(options("micro-k2", Backend.AUTO));
    assertTrue(opened.device().description().startsWith("cpu"), opened.device().description());
    opened.ops().close();
    Emulation.configure("devices=0");
    opened = open(options("micro-k2", Backend.AUTO));
    assertTrue(opened.device().description().startsWith("cpu"));
    opened.ops().close();
  }

  @Test
  void aModelThatDoesNotFitIsRefusedBeforeItIsLoaded() {
    Emulation.configure("memory=1000000", "fail=cuMemAlloc_v2:1:999");
    MoontideException e =
        assertThrows(MoontideException.class, () -> open(options("micro-k2", Backend.CUDA)));
    assertEquals(MoontideException.Category.CONFIGURATION, e.category());
    assertTrue(
        String.valueOf(e.getMessage())
            .matches("(?s).*does not fit on device 0 .*: it needs .* \\(weights .*"));
    assertTrue(String.valueOf(e.getMessage()).contains("free after its reserve"), e.getMessage());
  }

  @Test
  void floatsAreRefused() {
    EngineOptions options = options("micro-k2", Backend.CUDA).withPrecision(Precision.F32);
    MoontideException e = assertThrows(MoontideException.class, () -> open(options));
    assertTrue(String.valueOf(e.getMessage()).contains("dtype is f32"), e.getMessage());
  }

  /** Everything a model takes comes from what was planned: none of it is allocated beside. */
  @ParameterizedTest
  @ValueSource(strings = {"micro-k2", "micro-grouped", "micro-int4", "micro-k2dims-fp8"})
  void thePlanIsWhatTheModelTakes(String model) {
    EngineOptions options = options(model, Backend.CUDA);
    ModelConfig config = ModelConfig.load(options.model());
    Checkpoint checkpoint = Checkpoint.open(options.model());
    MemoryPlan plan;
    try (CudaDevice device = CudaDevice.open(0)) {
      plan = MemoryPlan.of(options, config, checkpoint, device);
    }
    try (CudaOps ops = (CudaOps) Backends.open(options, config, checkpoint, 1).ops()) {
      ModelWeights.load(checkpoint, config, ops, 2);
      Workspace.allocate(config, ops, options.maxBatchTokens());
      assertEquals(plan.needs().weights(), ops.used().weights());
      assertEquals(plan.needs().workspace(), ops.used().workspace());
    }
  }
}
