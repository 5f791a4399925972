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
package dev.moontide.device;

import dev.moontide.cuda.CudaDevice;
import dev.moontide.cuda.CudaOps;
import dev.moontide.cuda.DeviceSizes;
import dev.moontide.cuda.HopperSizes;
import dev.moontide.cuda.KernelPath;
import dev.moontide.model.DeepseekV3;
import dev.moontide.model.ModelConfig;
import dev.moontide.model.ModelWeights;
import dev.moontide.model.Workspace;
import dev.moontide.tensor.Step;
import java.util.Arrays;
import java.util.Locale;

/**
 * Steps of Kimi-K2's own layer dimensions (1 dense and 3 MoE layers, 384 experts) with random FP8
 * weights: loading, prefill and decode, and what of a step is the host's. Arguments: the largest
 * step in tokens, then any of {@code prefill=TOKENS} and {@code decode=SEQUENCES x CONTEXT}.
 */
public final class DeviceTimings {
  private static final int LAYERS = 4;
  private static final int REPEATS = 5;

  private final DeepseekV3 model;
  private final Step step;
  private final int maxTokens;

  private DeviceTimings(DeepseekV3 model, int maxTokens) {
    this.model = model;
    this.maxTokens = maxTokens;
    step = new Step(maxTokens, maxTokens);
  }

  public static void main(String[] arguments) throws Exception {
    int maxTokens = Integer.parseInt(arguments[0]);
    ModelConfig config = RandomModel.config(LAYERS);
    CudaDevice device = CudaDevice.open(0);
    HopperSizes hopper = new HopperSizes();
    measure(config, maxTokens, hopper);
    KernelPath.Choice choice = KernelPath.choose(device, hopper.refusal());
    DeviceSizes sizes = DeviceSizes.of(choice.path());
    measure(config, maxTokens, sizes);
    int block = sizes.blockSize(16);
    print("kernels: %s (%s)", choice.path(), choice.reason());
    print("%s, %,d bytes free; needs %s", device.description(), device.freeBytes(), sizes.needs());
    long blockBytes = sizes.kvBlockBytes(LAYERS, block, config.attention());
    long left = device.freeBytes() - sizes.needs().total() - (1L << 30);
    int blocks = (int) Math.min(left / blockBytes, 1 << 20);
    try (CudaOps ops = CudaOps.create(device, choice.path(), sizes.needs())) {
      long start = System.nanoTime();
      ModelWeights weights =
          RandomModel.load(config, ops, Runtime.getRuntime().availableProcessors());
      DeepseekV3 model = new DeepseekV3(config, weights, ops, maxTokens, blocks, block);
      double seconds = (System.nanoTime() - start) / 1e9;
      print(
          "loaded %.1f GB in %.1f s (%.1f GB/s); cache of %,d tokens",
          ops.used().weights() / 1e9,
          seconds,
          ops.used().weights() / seconds / 1e9,
          (long) blocks * block);
      DeviceTimings timings = new DeviceTimings(model, maxTokens);
      for (String what : Arrays.asList(arguments).subList(1, arguments.length)) {
        String[] parts = what.split("[=x]", -1);
        if (parts[0].equals("prefill")) {
          timings.prefill(Integer.parseInt(parts[1]));
        } else {
          timings.decode(Integer.parseInt(parts[1]), Integer.parseInt(parts[2]));
        }
      }
    }
  }

  private static void measure(ModelConfig config, int maxTokens, DeviceSizes sizes)
      throws Exception {
    RandomModel.load(config, sizes, 1);
    Workspace.allocate(config, sizes, maxTokens);
  }

  private static void print(String format, Object... values) {
    System.out.println(String.format(Locale.ROOT, format, values));
  }

  /** One prompt of {@code tokens}, in steps of at most the largest. */
  private void prefill(int tokens) {
    int[] table = table(0, tokens);
    double[] seconds = new double[2];
    for (int run = 0; run < seconds.length; run++) {
      long start = System.nanoTime();
      for (int first = 0; first < tokens; first += maxTokens) {
        step.clear();
        step.beginSequence(table);
        for (int p = first; p < Math.min(tokens, first + maxTokens); p++) {
          step.addPromptToken(p * 31 % 160_000, p);
        }
        step.requestLogits();
        model.forward(step);
      }
      finish();
      seconds[run] = (System.nanoTime() - start) / 1e9;
    }
    double best = Math.min(seconds[0], seconds[1]);
    print("prefill %6d tokens: %8.1f ms, %,9.0f tokens/s", tokens, best * 1e3, tokens / best);
  }

  /** A step of one token of each of {@code sequences}, after {@code context} others. */
  private void decode(int sequences, int context) {
    int perSequence = (context + model.blockSize()) / model.blockSize();
    if ((long) perSequence * sequences > model.cacheBlocks() || sequences > maxTokens) {
      print("decode %5d sequences at %5d: the cache is too small", sequences, context);
      return;
    }
    double[] seconds = new double[REPEATS];
    double[] host = new double[REPEATS];
    // The first runs load kernels and record the graph.
    for (int run = -2; run < REPEATS; run++) {
      long start = System.nanoTime();
      step.clear();
      for (int s = 0; s < sequences; s++) {
        step.beginSequence(table(s * perSequence, context + 1));
        step.addToken((s * 131 + run) % 1000 + 5, context);
        step.requestLogits();
      }
      model.forward(step);
      long submitted = System.nanoTime();
      finish();
      if (run >= 0) {
        seconds[run] = (System.nanoTime() - start) / 1e9;
        host[run] = (submitted - start) / 1e9;
      }
    }
    Arrays.sort(seconds);
    Arrays.sort(host);
    double median = seconds[REPEATS / 2];
    print(
        "decode %5d sequences at %5d: %8.2f ms, %,9.0f tokens/s, host %.2f ms",
        sequences, context, median * 1e3, sequences / median, host[REPEATS / 2] * 1e3);
  }

  /** Logits of the rows asked for, and their maxima: what waits for the device. */
  private void finish() {
    int[] best = new int[model.logitCapacity()];
    for (int first = 0; first < step.logitRows(); first += model.logitCapacity()) {
      model.computeLogits(first, Math.min(model.logitCapacity(), step.logitRows() - first));
      model.argmax(best);
    }
  }

  private int[] table(int first, int tokens) {
    int[] table = new int[(tokens + model.blockSize() - 1) / model.blockSize()];
    Arrays.setAll(table, i -> (first + i) % model.cacheBlocks());
    return table;
  }
}
