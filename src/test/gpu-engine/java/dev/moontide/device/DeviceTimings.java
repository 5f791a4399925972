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

import dev.moontide.api.SamplingParameters;
import dev.moontide.cuda.ChosenExperts;
import dev.moontide.cuda.CudaDevice;
import dev.moontide.cuda.CudaOps;
import dev.moontide.cuda.DeviceSizes;
import dev.moontide.cuda.HopperSizes;
import dev.moontide.cuda.KernelPath;
import dev.moontide.cuda.OperationTimes;
import dev.moontide.cuda.RowMajorSizes;
import dev.moontide.model.DeepseekV3;
import dev.moontide.model.ModelConfig;
import dev.moontide.model.ModelWeights;
import dev.moontide.model.Workspace;
import dev.moontide.tensor.LogitQueries;
import dev.moontide.tensor.Step;
import java.util.Arrays;
import java.util.Locale;

/**
 * Steps of Kimi-K2's own layer dimensions (1 dense and 3 MoE layers, 384 experts) with random FP8
 * weights: loading, prefill and decode, and what of a step is the host's. Arguments: the largest
 * step in tokens, then any of {@code prefill=PROMPTS x TOKENS}, {@code decode=SEQUENCES x CONTEXT}
 * and {@code sample=SEQUENCES x CONTEXT}, which draws by top-p where decode takes the most probable
 * token. What follows the word {@code operations} is also timed operation by operation.
 */
public final class DeviceTimings {
  private static final int LAYERS = 4;
  private static final int REPEATS = 15;
  private static final int PREFILLS = 9;
  private static final SamplingParameters GREEDY = SamplingParameters.greedy(1);
  private static final SamplingParameters SAMPLED =
      SamplingParameters.builder().temperature(0.8).topP(0.95).build();

  /** The first runs of a shape load kernels, record its graph and have the host's code compiled. */
  private static final int WARM_UP = 10;

  /** Tokens that fill the cache, several times the L2, from which all contexts are made. */
  private static final int FILLED = 128 << 10;

  /** The same where filling takes long and attention is far from the memory's rate anyway. */
  private static final int FILLED_SIMPLE = 8 << 10;

  /** Device memory for kernels, small buffers and what timings take. */
  private static final long RESERVE = 3L << 30;

  private final DeepseekV3 model;

  private final OperationTimes operations;

  private final Step step;
  private final LogitQueries queries = new LogitQueries();
  private final int maxTokens;

  private final int filled;

  /** Whether a table of a step's operations follows its time. */
  private boolean isDetailed;

  private DeviceTimings(DeepseekV3 model, OperationTimes operations, int maxTokens, int filled) {
    this.model = model;
    this.filled = filled;
    this.operations = operations;
    this.maxTokens = maxTokens;
    step = new Step(maxTokens, maxTokens);
  }

  public static void main(String[] arguments) throws Exception {
    int maxTokens = Integer.parseInt(arguments[0]);
    ModelConfig config = RandomModel.config(LAYERS);
    CudaDevice device = CudaDevice.open(0);
    HopperSizes hopper = new HopperSizes();
    measure(config, maxTokens, hopper);
    RowMajorSizes mma = new RowMajorSizes(KernelPath.MMA);
    measure(config, maxTokens, mma);
    KernelPath.Choice choice =
        KernelPath.choose(device, new KernelPath.Refusals(mma.refusal(), hopper.refusal()));
    DeviceSizes sizes = DeviceSizes.of(choice.path());
    measure(config, maxTokens, sizes);
    int block = sizes.blockSize(16);
    print("kernels: %s (%s)", choice.path(), choice.reason());
    print("%s, %,d bytes free; needs %s", device.description(), device.freeBytes(), sizes.needs());
    long blockBytes = sizes.kvBlockBytes(LAYERS, block, config.attention());
    long left = device.freeBytes() - sizes.needs().total() - RESERVE;
    int blocks = (int) Math.min(left / blockBytes, 1 << 20);
    try (CudaOps ops = CudaOps.create(device, choice.path(), sizes.needs());
        OperationTimes operations = new OperationTimes(ops)) {
      long start = System.nanoTime();
      ModelWeights weights =
          RandomModel.load(config, ops, Runtime.getRuntime().availableProcessors());
      DeepseekV3 model =
          new DeepseekV3(config, weights, operations.ops(), maxTokens, blocks, block);
      double seconds = (System.nanoTime() - start) / 1e9;
      print(
          "loaded %.1f GB in %.1f s (%.1f GB/s); cache of %,d tokens",
          ops.used().weights() / 1e9,
          seconds,
          ops.used().weights() / seconds / 1e9,
          (long) blocks * block);
      DeviceTimings timings =
          new DeviceTimings(
              model,
              operations,
              maxTokens,
              choice.path() == KernelPath.HOPPER ? FILLED : FILLED_SIMPLE);
      timings.fill();
      for (String what : Arrays.asList(arguments).subList(1, arguments.length)) {
        if (what.equals("operations")) {
          timings.isDetailed = true;
          continue;
        }
        String[] parts = what.split("[=x]", -1);
        if (parts[0].equals("prefill")) {
          timings.prefill(Integer.parseInt(parts[1]), Integer.parseInt(parts[2]));
        } else {
          timings.decode(
              Integer.parseInt(parts[1]),
              Integer.parseInt(parts[2]),
              parts[0].equals("sample") ? SAMPLED : GREEDY);
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

  /** Fills the cache that contexts are made of. */
  private void fill() {
    int length = 1024;
    for (int prompt = 0; prompt < filled / length; prompt++) {
      step.clear();
      step.beginSequence(table(prompt * length / model.blockSize(), length));
      for (int p = 0; p < length; p++) {
        step.addPromptToken((p * 977 + prompt * 131) % 160_000, p);
      }
      model.forward(step);
    }
  }

  /** Prompts of {@code tokens} each, in steps of at most the largest; the logits of their ends. */
  private void prefill(int prompts, int tokens) {
    int perPrompt = (tokens + model.blockSize() - 1) / model.blockSize();
    double[] seconds = new double[PREFILLS];
    for (int run = -2; run < PREFILLS; run++) {
      long start = System.nanoTime();
      step.clear();
      for (int prompt = 0; prompt < prompts; prompt++) {
        int[] table = table(prompt * perPrompt, tokens);
        for (int p = 0; p < tokens; p++) {
          if (step.tokens() == maxTokens) {
            model.forward(step);
            step.clear();
          }
          if (p == 0 || step.tokens() == 0) {
            step.beginSequence(table);
          }
          step.addPromptToken((p * 31 + prompt * 7) % 160_000, p);
        }
        step.requestLogits();
      }
      model.forward(step);
      finish(GREEDY);
      if (run >= 0) {
        seconds[run] = (System.nanoTime() - start) / 1e9;
      }
    }
    Arrays.sort(seconds);
    double median = seconds[PREFILLS / 2];
    print(
        "prefill %3d prompts of %6d: %8.1f ms (%.1f to %.1f), %,9.0f tokens/s",
        prompts,
        tokens,
        median * 1e3,
        seconds[0] * 1e3,
        seconds[PREFILLS - 1] * 1e3,
        prompts * tokens / median);
    detail(GREEDY);
  }

  /** A step of one token of each of {@code sequences}, after {@code context} others. */
  private void decode(int sequences, int context, SamplingParameters parameters) {
    int perSequence = (context + model.blockSize()) / model.blockSize();
    double[] seconds = new double[REPEATS];
    double[] host = new double[REPEATS];
    for (int run = -WARM_UP; run < REPEATS; run++) {
      long start = System.nanoTime();
      step.clear();
      for (int s = 0; s < sequences; s++) {
        step.beginSequence(table(s * perSequence, context + 1));
        step.addToken((s * 131 + (run + WARM_UP) * 7919) % 160_000, context);
        step.requestLogits();
      }
      model.forward(step);
      long submitted = System.nanoTime();
      finish(parameters);
      if (run >= 0) {
        seconds[run] = (System.nanoTime() - start) / 1e9;
        host[run] = (submitted - start) / 1e9;
      }
    }
    Arrays.sort(seconds);
    Arrays.sort(host);
    double median = seconds[REPEATS / 2];
    print(
        "%s %5d sequences at %5d: %8.2f ms, %,9.0f tokens/s, host %.2f ms, %d experts",
        parameters.isGreedy() ? "decode" : "sample",
        sequences,
        context,
        median * 1e3,
        sequences / median,
        host[REPEATS / 2] * 1e3,
        ChosenExperts.distinct(operations.routing(), sequences));
    detail(parameters);
  }

  /** Runs the last step again, timing its operations. */
  private void detail(SamplingParameters parameters) {
    if (isDetailed) {
      operations.start();
      long start = System.nanoTime();
      model.forward(step);
      double host = (System.nanoTime() - start) / 1e6;
      finish(parameters);
      operations.print(
          String.format(
              Locale.ROOT, "%,d tokens, launched one by one in %.2f ms", step.tokens(), host),
          step.tokens());
    }
  }

  /** Logits of the rows asked for, and their tokens: what waits for the device. */
  private void finish(SamplingParameters parameters) {
    for (int first = 0; first < step.logitRows(); first += model.logitCapacity()) {
      int count = Math.min(model.logitCapacity(), step.logitRows() - first);
      model.computeLogits(first, count);
      queries.clear();
      for (int row = 0; row < count; row++) {
        queries.draw(row, parameters, first + row, 0, step.position(step.logitToken(first + row)));
      }
      model.answer(queries);
    }
  }

  private int[] table(int first, int tokens) {
    int[] table = new int[(tokens + model.blockSize() - 1) / model.blockSize()];
    int blocks = filled / model.blockSize();
    Arrays.setAll(table, i -> (first + i) % blocks);
    return table;
  }
}
