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

import dev.moontide.tensor.DType;
import dev.moontide.tensor.KvCache;
import dev.moontide.tensor.LogitQueries;
import dev.moontide.tensor.MatrixSource;
import dev.moontide.tensor.Ops;
import dev.moontide.tensor.Step;
import dev.moontide.tensor.Tensor;
import dev.moontide.tensor.Weight;
import java.util.function.IntConsumer;
import org.jspecify.annotations.Nullable;

/**
 * The operations on one GPU. Operations only queue work; what returns numbers to the host waits for
 * it, and reports the failures of what was queued before.
 */
public abstract class CudaOps implements Ops, StepGraphs.Shapes {
  final CudaDevice device;
  final Arena weights;
  final Arena workspace;
  final Staging staging;
  final Execution run;
  final RowOperations rows;

  /** Those of the path. */
  final Kernels kernels;

  final WeightUpload upload;

  /** For the path whose kernels do not keep NaN in FP8. */
  private final @Nullable NanSearch search;

  private final Owned owned;
  private final Logits logits;
  private final StepGraphs graphs;
  private boolean closed;

  CudaOps(CudaDevice device, KernelPath path, MemoryNeeds needs, Owned owned) {
    this.device = device;
    this.owned = owned;
    device.bind();
    run = owned.add(new Execution(device, needs.scratch(), owned));
    kernels = path == KernelPath.SIMPLE ? run.kernels : owned.add(new Kernels(device, path));
    weights = owned.add(new Arena(device, needs.weights(), "weights"));
    workspace = owned.add(new Arena(device, needs.workspace(), "workspace"));
    staging = owned.add(new Staging(device, owned));
    search = path == KernelPath.MMA ? owned.add(new NanSearch(device, kernels, staging)) : null;
    upload = new WeightUpload(weights, staging, search);
    rows = new RowOperations(run);
    logits = owned.add(new Logits(run));
    graphs = owned.add(new StepGraphs(run, this));
  }

  /**
   * Takes over {@code device}, whether or not it succeeds.
   *
   * @param path the kernels to use, one that takes the model
   * @param needs memory to reserve; what is not reserved is allocated as it is asked for
   */
  public static CudaOps create(CudaDevice device, KernelPath path, MemoryNeeds needs) {
    Owned owned = new Owned();
    owned.add(device::close);
    try {
      return switch (path) {
        case SIMPLE, MMA -> new RowMajorOps(device, path, needs, owned);
        case HOPPER -> new HopperOps(device, needs, owned);
      };
    } catch (RuntimeException | Error e) {
      owned.close();
      throw e;
    }
  }

  @Override
  public DType dtype() {
    return DType.BF16;
  }

  /** What of its reserved memory is in use. */
  public MemoryNeeds used() {
    return new MemoryNeeds(weights.used(), workspace.used(), run.scratch.bytes(), 0);
  }

  // ---- loading -------------------------------------------------------------------------------

  @Override
  public Weight table(MatrixSource source) {
    return load(source, WeightLayout.of(source, WeightForm.BF16));
  }

  @Override
  public Weight vector(MatrixSource source) {
    return load(source, WeightLayout.of(source, WeightForm.FLOAT));
  }

  @Override
  public void finishLoading() {
    begin();
    if (search != null) {
      search.finish();
    }
  }

  final CudaWeight load(MatrixSource source, WeightLayout layout) {
    device.bind();
    return upload.upload(source, layout);
  }

  // ---- memory --------------------------------------------------------------------------------

  @Override
  public Tensor floats(int rowCount, int columns) {
    return tensor(rowCount, columns, false);
  }

  final Tensor tensor(int rowCount, int columns, boolean isOperand) {
    device.bind();
    Memory memory = workspace.allocate(CudaTensor.bytes(rowCount, columns, isOperand));
    return new CudaTensor(rowCount, columns, isOperand, memory);
  }

  // ---- the equations -------------------------------------------------------------------------

  /** Before an operation: its thread may call the device, and what was loaded is there. */
  final void begin() {
    device.bind();
    staging.drain();
  }

  @Override
  public long generation() {
    return run.generation();
  }

  @Override
  public void run(Step step, IntConsumer equations) {
    begin();
    run.prepare(step);
    graphs.run(step, equations);
  }

  @Override
  public void copyBlocks(KvCache cache, Step step) {
    begin();
    DeviceCache there = (DeviceCache) cache;
    for (int i = 0; i < step.copies(); i++) {
      for (int layer = 0; layer < there.layers(); layer++) {
        run.stream.copy(
            there.memory(),
            there.offset(layer, step.copySource(i)),
            there.offset(layer, step.copyTarget(i)),
            there.blockBytes());
      }
    }
  }

  @Override
  public void embed(Tensor x, Weight table, Step step) {
    begin();
    Shapes.check("embed", x, step.tokens(), table.columns());
    rows.embed((CudaTensor) x, (CudaWeight) table, step);
  }

  @Override
  public void gatherLogitRows(Tensor out, Tensor x, Step step, int first, int count) {
    begin();
    Shapes.check("gatherLogitRows", out, count, x.columns());
    rows.gather((CudaTensor) out, (CudaTensor) x, step, first, count);
  }

  @Override
  public void answer(LogitQueries queries, Tensor x) {
    begin();
    logits.answer(queries, (CudaTensor) x);
  }

  @Override
  public void read(Tensor x, int row, float[] out, int offset) {
    begin();
    Shapes.checkRows("read", x.capacity(), row + 1);
    logits.read((CudaTensor) x, row, out, offset);
  }

  @Override
  public void close() {
    if (closed) {
      return;
    }
    closed = true;
    device.bind();
    owned.close();
  }
}
