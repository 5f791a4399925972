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
final class Execution implements AutoCloseable {
  final CudaDevice device;
  final CudaStream stream;
  final Kernels kernels;
  final Launcher launcher;
  final Scratch scratch;
  private final StepBuffer steps;
  private @Nullable Rotations rotations;

  /**
   * @param scratchBytes reserved for scratch; 0 lets it grow
   */
  Execution(CudaDevice device, long scratchBytes) {
    this.device = device;
    kernels = new Kernels(device);
    stream = new CudaStream("operations");
    launcher = new Launcher(stream);
    scratch = new Scratch(device, stream, scratchBytes);
    steps = new StepBuffer(device, stream);
  }

  /** Where {@code step} lies on the device. */
  long step(Step step) {
    return steps.address(step);
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
    stream.synchronise();
    if (rotations != null) {
      rotations.close();
    }
    steps.close();
    scratch.close();
    launcher.close();
    stream.close();
    kernels.close();
  }
}
