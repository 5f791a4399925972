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
package dev.moontide.cuda;

import dev.moontide.tensor.Rope;
import dev.moontide.tensor.Step;
import org.jspecify.annotations.Nullable;

/** What the operations share: the device, its stream and kernels, scratch, and the step there. */
final class Execution implements Owned.Resource {
  final CudaDevice device;
  final CudaStream stream;
  final Kernels kernels;
  final Launcher launcher;
  final Scratch scratch;
  private final StepBuffer steps;
  private @Nullable Rotations rotations;
  private int fixedRows;
  private int fixedVariant;

  /**
   * @param scratchBytes reserved for scratch; 0 lets it grow
   * @param owned takes over what is made here
   */
  Execution(CudaDevice device, long scratchBytes, Owned owned) {
    this.device = device;
    kernels = owned.add(new Kernels(device, KernelPath.SIMPLE));
    stream = owned.add(new CudaStream("operations"));
    launcher = owned.add(new Launcher(stream));
    scratch = owned.add(new Scratch(device, stream, scratchBytes));
    steps = owned.add(new StepBuffer(device, stream));
  }

  /** Where {@code step} lies on the device. */
  long step(Step step) {
    return steps.address(step);
  }

  /** Has steps launch {@code rows} and the shape {@code variant}, until {@link #release}. */
  void fix(int rows, int variant) {
    fixedRows = rows;
    fixedVariant = variant;
  }

  /** Has steps launch what they say themselves. */
  void release() {
    fixedRows = 0;
  }

  /** Rows that operations on {@code step} launch: at least its tokens. */
  int rows(Step step) {
    return fixedRows > 0 ? fixedRows : step.tokens();
  }

  /**
   * Splits of attention, each of {@code entries}, that are launched: at least those of the step on
   * the device.
   */
  int splits(int entries) {
    return fixedRows > 0 ? 1 << fixedVariant : Products.tiles(steps.maxVisible(), entries);
  }

  /** Changes when anything a recorded launch points to has moved. */
  long generation() {
    return steps.generation()
        + scratch.generation()
        + (rotations == null ? 0 : rotations.generation());
  }

  /** Brings {@code step} to the device, and extends the rotations in use to its positions. */
  void prepare(Step step) {
    steps.address(step);
    if (rotations != null) {
      rotations.reach(steps.maxPosition());
    }
  }

  /** The most cache entries a token of the step sees, once it is on the device. */
  int maxVisible() {
    return steps.maxVisible();
  }

  /**
   * Where the rotations of {@code rope} lie, those of every position of {@code step} among them.
   */
  long rotations(Rope rope, Step step) {
    steps.address(step);
    Rotations table = rotations;
    if (table == null || !table.isOf(rope)) {
      if (table != null) {
        table.close();
      }
      table = new Rotations(device, stream, rope);
      rotations = table;
    }
    return table.reach(steps.maxPosition());
  }

  @Override
  public void close() {
    if (rotations != null) {
      rotations.close();
    }
    stream.synchronise();
  }
}
