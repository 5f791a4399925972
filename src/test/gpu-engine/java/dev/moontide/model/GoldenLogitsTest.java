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
package dev.moontide.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.api.EngineOptions.Precision;
import dev.moontide.checkpoint.Checkpoint;
import dev.moontide.cpu.Bf16Backends;
import dev.moontide.cpu.CpuOps;
import dev.moontide.cuda.CudaDevice;
import dev.moontide.cuda.CudaOps;
import dev.moontide.cuda.Emulation;
import dev.moontide.cuda.KernelPath;
import dev.moontide.cuda.MemoryNeeds;
import dev.moontide.tensor.DType;
import dev.moontide.tensor.Ops;
import dev.moontide.tensor.ReferenceOps;
import dev.moontide.tensor.Step;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Logits of the small checkpoints against the float32 references, at every position. */
class GoldenLogitsTest {
  private static final int BLOCK = 16;
  private static final int HOPPER_BLOCK = 64;
  private static final int MAX_TOKENS = 256;

  static Iterable<String> models() {
    return Golden.MODELS;
  }

  static List<Arguments> bf16Models() {
    List<Arguments> all = new ArrayList<>();
    for (String backend : Bf16Backends.names()) {
      Golden.MODELS.forEach(model -> all.add(Arguments.of(model, backend)));
    }
    return all;
  }

  private static DeepseekV3 load(String model, Ops ops) {
    return load(model, ops, BLOCK);
  }

  private static DeepseekV3 load(String model, Ops ops, int blockSize) {
    ModelConfig config = ModelConfig.load(Golden.folder(model));
    Checkpoint checkpoint = Checkpoint.open(Golden.folder(model));
    return new DeepseekV3(
        config,
        ModelWeights.load(checkpoint, config, ops, 2).weights(),
        ops,
        MAX_TOKENS,
        16,
        blockSize);
  }

  /** Logits after every token of {@code ids}, computed in one step. */
  static float[][] logits(DeepseekV3 model, int[] ids) {
    Step step = new Step(MAX_TOKENS, 1);
    int[] table = new int[16];
    for (int i = 0; i < table.length; i++) {
      table[i] = table.length - 1 - i;
    }
    step.beginSequence(table);
    for (int t = 0; t < ids.length; t++) {
      step.addToken(ids[t], t);
      step.requestLogits();
    }
    model.forward(step);
    float[][] rows = new float[ids.length][model.vocabularySize()];
    for (int first = 0; first < ids.length; first += model.logitCapacity()) {
      int count = Math.min(model.logitCapacity(), ids.length - first);
      model.computeLogits(first, count);
      for (int row = 0; row < count; row++) {
        model.readLogits(row, rows[first + row]);
      }
    }
    return rows;
  }

  private static void assertClose(String model, Ops ops, double tolerance) {
    try (DeepseekV3 deepseek = load(model, ops)) {
      double worst = 0;
      for (Golden.Case golden : Golden.load(model).cases()) {
        float[][] actual = logits(deepseek, golden.ids());
        for (int t = 0; t < actual.length; t++) {
          float[] expected = golden.logits(t);
          for (int i = 0; i < expected.length; i++) {
            double error = Math.abs((double) actual[t][i] - expected[i]);
            assertTrue(
                error <= tolerance,
                "%s: logit %d after token %d of %d is %s, the reference %s"
                    .formatted(model, i, t, actual.length, actual[t][i], expected[i]));
            worst = Math.max(worst, error);
          }
        }
      }
      assertTrue(worst > 0, model + ": bits equal to the reference's: was anything computed?");
    }
  }

  @Test
  void float64OracleAgreesWithTheReference() {
    assertClose("micro-k2", new ReferenceOps(DType.F32, DType.F32), 1e-4);
    assertClose("micro-grouped", new ReferenceOps(DType.F32, DType.F32), 1e-4);
  }

  @ParameterizedTest
  @MethodSource("models")
  void float32AgreesAtEveryPosition(String model) {
    assertClose(model, CpuOps.create(Precision.F32, 2), 1e-4);
  }

  /**
   * Relative error by norm, and the same first choice wherever the reference is not undecided. A
   * token whose rounded scores chose another expert than float32's, which a near tie decides, says
   * nothing about the arithmetic and is left out; there are few of them.
   */
  @ParameterizedTest
  @MethodSource("bf16Models")
  void bf16AgreesInNormAndFirstChoice(String model, String backend) {
    RoutingLog exact = new RoutingLog(CpuOps.create(Precision.F32, 2));
    RoutingLog rounded = new RoutingLog(Bf16Backends.open(backend, 2));
    int tokens = 0;
    int otherwise = 0;
    try (DeepseekV3 reference = load(model, exact.ops());
        DeepseekV3 deepseek = load(model, rounded.ops())) {
      for (Golden.Case golden : Golden.load(model).cases()) {
        logits(reference, golden.ids());
        float[][] actual = logits(deepseek, golden.ids());
        boolean[] same = new boolean[actual.length];
        for (int t = 0; t < actual.length; t++) {
          same[t] = sameExperts(exact.layers(), rounded.layers(), t);
          tokens++;
          otherwise += same[t] ? 0 : 1;
        }
        assertAgrees(model, golden, actual, same, 3e-2, 0.1);
      }
    }
    assertTrue(
        otherwise <= 0.04 * tokens,
        "%d of %d tokens routed otherwise".formatted(otherwise, tokens));
  }

  private static boolean sameExperts(List<int[][]> a, List<int[][]> b, int token) {
    assertTrue(!a.isEmpty() && a.size() == b.size(), "layers with experts");
    for (int layer = 0; layer < a.size(); layer++) {
      if (!Arrays.equals(a.get(layer)[token], b.get(layer)[token])) {
        return false;
      }
    }
    return true;
  }

  static List<Arguments> cudaModels() {
    List<Arguments> all = new ArrayList<>();
    for (KernelPath path : new KernelPath[] {KernelPath.SIMPLE, KernelPath.MMA}) {
      Golden.MODELS.forEach(model -> all.add(Arguments.of(model, path)));
    }
    return all;
  }

  /** The simple kernels multiply weights in FP8 with activations rounded to FP8. */
  @ParameterizedTest
  @MethodSource("cudaModels")
  void cudaAgreesInNormAndFirstChoice(String model, KernelPath path) {
    Emulation.start();
    Ops ops = CudaOps.create(CudaDevice.open(0), path, MemoryNeeds.NONE);
    boolean isFp8 = model.endsWith("fp8") && path == KernelPath.SIMPLE;
    try (DeepseekV3 deepseek = load(model, ops)) {
      for (Golden.Case golden : Golden.load(model).cases()) {
        float[][] actual = logits(deepseek, golden.ids());
        boolean[] all = new boolean[actual.length];
        Arrays.fill(all, true);
        assertAgrees(model, golden, actual, all, isFp8 ? 6e-2 : 3e-2, isFp8 ? 0.3 : 0.1);
      }
    }
  }

  /**
   * The Hopper kernels' path, for the model that suits it. A token that is far off took another of
   * two experts nearly equal, and is left out; there are few of them.
   */
  @Test
  void hopperAgreesInNormAndFirstChoice() {
    Emulation.start();
    String model = "micro-k2dims-fp8";
    Ops ops = CudaOps.create(CudaDevice.open(0), KernelPath.HOPPER, MemoryNeeds.NONE);
    int tokens = 0;
    int otherwise = 0;
    try (DeepseekV3 deepseek = load(model, ops, HOPPER_BLOCK)) {
      for (Golden.Case golden : Golden.load(model).cases()) {
        float[][] actual = logits(deepseek, golden.ids());
        boolean[] near = new boolean[actual.length];
        for (int t = 0; t < actual.length; t++) {
          near[t] = relative(actual[t], golden.logits(t)) < 0.2;
          tokens++;
          otherwise += near[t] ? 0 : 1;
        }
        assertAgrees(model, golden, actual, near, 6e-2, 0.3);
      }
    }
    assertTrue(
        otherwise <= 0.04 * tokens, "%d of %d tokens are far off".formatted(otherwise, tokens));
  }

  private static double relative(float[] actual, float[] expected) {
    double error = 0;
    double norm = 0;
    for (int i = 0; i < expected.length; i++) {
      error += Math.pow((double) actual[i] - expected[i], 2);
      norm += Math.pow(expected[i], 2);
    }
    return Math.sqrt(error / norm);
  }

  /** Compares the tokens that are {@code compared}. */
  private static void assertAgrees(
      String model,
      Golden.Case golden,
      float[][] actual,
      boolean[] compared,
      double tolerance,
      double clear) {
    double error = 0;
    double norm = 0;
    for (int t = 0; t < actual.length; t++) {
      if (!compared[t]) {
        continue;
      }
      float[] expected = golden.logits(t);
      for (int i = 0; i < expected.length; i++) {
        error += Math.pow((double) actual[t][i] - expected[i], 2);
        norm += Math.pow(expected[i], 2);
      }
      if (margin(expected) > clear) {
        assertEquals(argmax(expected), argmax(actual[t]), model + ", token " + t);
      }
    }
    double relative = Math.sqrt(error / norm);
    assertTrue(
        relative < tolerance,
        "%s, %d tokens: relative error %s".formatted(model, actual.length, relative));
  }

  private static int argmax(float[] row) {
    int best = 0;
    for (int i = 1; i < row.length; i++) {
      best = row[i] > row[best] ? i : best;
    }
    return best;
  }

  private static double margin(float[] row) {
    int best = argmax(row);
    float second = Float.NEGATIVE_INFINITY;
    for (int i = 0; i < row.length; i++) {
      second = i == best ? second : Math.max(second, row[i]);
    }
    return row[best] - second;
  }
}
