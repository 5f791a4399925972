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

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.api.EngineOptions.Precision;
import dev.moontide.checkpoint.Checkpoint;
import dev.moontide.cpu.CpuOps;
import dev.moontide.cuda.CudaDevice;
import dev.moontide.cuda.CudaOps;
import dev.moontide.cuda.Emulation;
import dev.moontide.cuda.KernelPath;
import dev.moontide.cuda.MemoryNeeds;
import dev.moontide.tensor.Ops;
import dev.moontide.tensor.Step;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

/**
 * A model on the Hopper kernels' path: prompts long enough for both forms of attention, output and
 * tries, computed alone and among others.
 */
class HopperPathTest {
  private static final String MODEL = "micro-k2dims-fp8";
  private static final int BLOCK = 64;
  private static final int BLOCKS = 64;
  private static final int VOCABULARY = 290;

  /** Beyond the position from which prompts take the naive form of attention. */
  private static final int LONG = 1100;

  private static DeepseekV3 load(Ops ops) {
    ModelConfig config = ModelConfig.load(Golden.folder(MODEL));
    Checkpoint checkpoint = Checkpoint.open(Golden.folder(MODEL));
    return new DeepseekV3(
        config,
        ModelWeights.load(checkpoint, config, ops, 2).weights(),
        ops,
        2 * LONG,
        BLOCKS,
        BLOCK);
  }

  private static DeepseekV3 hopper() {
    Emulation.start();
    return load(CudaOps.create(CudaDevice.open(0), KernelPath.HOPPER, MemoryNeeds.NONE));
  }

  /** A row: a prompt and what was generated. */
  private record Row(int prompt, int length, int seed, int outputSeed) {
    int token(int i) {
      return new Random(31L * (i < prompt ? seed : outputSeed) + i).nextInt(VOCABULARY);
    }

    void addTo(Step step, int i) {
      if (i < prompt) {
        step.addPromptToken(token(i), i);
      } else {
        step.addToken(token(i), i);
      }
    }
  }

  private static int[] table(int first, int tokens) {
    int[] table = new int[(tokens + BLOCK - 1) / BLOCK];
    // Descending, so that no two pages lie as their tokens do.
    Arrays.setAll(table, i -> first + table.length - 1 - i);
    return table;
  }

  private static float[] logits(DeepseekV3 model, int row) {
    float[] out = new float[model.vocabularySize()];
    model.computeLogits(row, 1);
    model.readLogits(0, out);
    return out;
  }

  /** Logits after the last of a row's tokens, computed alone, {@code chunk} at a time. */
  private static float[] alone(DeepseekV3 model, Row row, int chunk) {
    Step step = new Step(2 * LONG, 4);
    for (int first = 0; first < row.length(); first += chunk) {
      step.clear();
      step.beginSequence(table(3, row.length()));
      for (int i = first; i < Math.min(row.length(), first + chunk); i++) {
        row.addTo(step, i);
      }
      step.requestLogits();
      model.forward(step);
    }
    return logits(model, 0);
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

  /** The CPU's float32 or, where the tests run on a GPU, the simple kernels. */
  private static Ops reference() {
    return Boolean.getBoolean("moontide.test.gpu")
        ? CudaOps.create(CudaDevice.open(0), KernelPath.SIMPLE, MemoryNeeds.NONE)
        : CpuOps.create(Precision.F32, 2);
  }

  @Test
  void longPromptsAgreeWithOtherKernels() {
    float[] expected;
    Row row = new Row(LONG, LONG, 1, 1);
    try (DeepseekV3 other = load(reference())) {
      expected = alone(other, row, LONG);
    }
    try (DeepseekV3 model = hopper()) {
      double error = relative(alone(model, row, LONG), expected);
      assertTrue(error < 0.1, "relative error " + error);
    }
  }

  /** Two long rows and a short one in chunks of one step, against each alone. */
  @Test
  void rowsHaveTheSameBitsInAnySteps() {
    Row[] rows = {new Row(LONG, LONG, 1, 1), new Row(70, 75, 2, 2), new Row(1040, 1043, 3, 3)};
    try (DeepseekV3 model = hopper()) {
      float[][] expected = new float[rows.length][];
      for (int r = 0; r < rows.length; r++) {
        expected[r] = alone(model, rows[r], rows[r].length());
      }
      assertArrayEquals(expected[1], alone(model, rows[1], 1), "a token a step");
      int[] done = new int[rows.length];
      int[] chunks = {517, 13, 1021};
      Step step = new Step(2 * LONG, rows.length);
      while (done[0] < rows[0].length()) {
        step.clear();
        int[] logitRow = new int[rows.length];
        for (int r = 0; r < rows.length; r++) {
          int end = Math.min(rows[r].length(), done[r] + chunks[r]);
          if (done[r] < end) {
            step.beginSequence(table(20 * r, rows[r].length()));
            for (; done[r] < end; done[r]++) {
              rows[r].addTo(step, done[r]);
            }
            logitRow[r] = step.requestLogits();
          } else {
            logitRow[r] = Integer.MAX_VALUE;
          }
        }
        model.forward(step);
        for (int r = 0; r < rows.length; r++) {
          if (done[r] == rows[r].length() && logitRow[r] < step.logitRows()) {
            assertArrayEquals(expected[r], logits(model, logitRow[r]), "row " + r);
          }
        }
      }
    }
  }

  /** Two branches of a trie after a prompt that ends within a page, and each as a row. */
  @Test
  void trieTokensHaveTheBitsOfTheirPath() {
    int prompt = 200;
    Row left = new Row(prompt, prompt + 3, 5, 6);
    Row right = new Row(prompt, prompt + 2, 5, 7);
    try (DeepseekV3 model = hopper()) {
      float[] leftBits = alone(model, left, left.length());
      float[] rightBits = alone(model, right, right.length());
      Step step = new Step(2 * LONG, 2);
      step.beginSequence(table(40, prompt + 5));
      for (int i = 0; i < prompt; i++) {
        step.addPromptToken(left.token(i), i);
      }
      int[] leftPath = {prompt, prompt + 1};
      int[] rightPath = {prompt + 3};
      step.addTreeToken(left.token(prompt), prompt, prompt, prompt, leftPath, 0);
      step.addTreeToken(left.token(prompt + 1), prompt + 1, prompt + 1, prompt, leftPath, 1);
      step.addTreeToken(left.token(prompt + 2), prompt + 2, prompt + 2, prompt, leftPath, 2);
      step.requestLogits();
      step.addTreeToken(right.token(prompt), prompt, prompt + 3, prompt, rightPath, 0);
      step.addTreeToken(right.token(prompt + 1), prompt + 1, prompt + 4, prompt, rightPath, 1);
      step.requestLogits();
      model.forward(step);
      assertArrayEquals(leftBits, logits(model, 0));
      assertArrayEquals(rightBits, logits(model, 1));
    }
  }
}
