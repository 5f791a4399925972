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

import dev.moontide.tensor.Attention;
import dev.moontide.tensor.DType;
import dev.moontide.tensor.Experts;
import dev.moontide.tensor.KvCache;
import dev.moontide.tensor.MatrixSource;
import dev.moontide.tensor.Ops;
import dev.moontide.tensor.Rope;
import dev.moontide.tensor.Router;
import dev.moontide.tensor.Routing;
import dev.moontide.tensor.Step;
import dev.moontide.tensor.Tensor;
import dev.moontide.tensor.Weight;
import java.util.List;
import java.util.function.IntConsumer;

/**
 * The operations on one GPU. Operations only queue work; what returns numbers to the host waits for
 * it, and reports the failures of what was queued before.
 */
public final class CudaOps implements Ops {
  private final CudaDevice device;
  private final Owned owned;
  private final Arena weights;
  private final Arena workspace;
  private final Staging staging;
  private final WeightUpload upload;
  private final Execution run;
  private final RowOperations rows;
  private final Products products;
  private final LatentAttention attention;
  private final Routes routes;
  private final ExpertProducts experts;
  private final Logits logits;
  private final StepGraphs graphs;
  private boolean closed;

  private CudaOps(CudaDevice device, MemoryNeeds needs, Owned owned) {
    this.device = device;
    this.owned = owned;
    device.bind();
    run = owned.add(new Execution(device, needs.scratch(), owned));
    weights = owned.add(new Arena(device, needs.weights(), "weights"));
    workspace = owned.add(new Arena(device, needs.workspace(), "workspace"));
    staging = owned.add(new Staging());
    upload = new WeightUpload(weights, staging);
    rows = new RowOperations(run);
    products = new Products(run, rows);
    attention = new LatentAttention(run);
    routes = new Routes(run, products);
    experts = new ExpertProducts(run, rows);
    logits = owned.add(new Logits(run));
    graphs = owned.add(new StepGraphs(run));
  }

  /**
   * Takes over {@code device}, whether or not it succeeds.
   *
   * @param needs memory to reserve; what is not reserved is allocated as it is asked for
   */
  public static CudaOps create(CudaDevice device, MemoryNeeds needs) {
    Owned owned = new Owned();
    owned.add(device::close);
    try {
      return new CudaOps(device, needs, owned);
    } catch (RuntimeException | Error e) {
      owned.close();
      throw e;
    }
  }

  @Override
  public String description() {
    return "cuda: bf16, " + device.description();
  }

  @Override
  public DType dtype() {
    return DType.BF16;
  }

  /** What of its reserved memory is in use. */
  public MemoryNeeds used() {
    return new MemoryNeeds(weights.used(), workspace.used(), run.scratch.bytes());
  }

  // ---- loading -------------------------------------------------------------------------------

  @Override
  public Weight matrix(MatrixSource source) {
    return load(source, WeightLayout.of(source));
  }

  @Override
  public Weight table(MatrixSource source) {
    return load(source, WeightLayout.of(source, WeightForm.BF16));
  }

  @Override
  public Weight vector(MatrixSource source) {
    return load(source, WeightLayout.of(source, WeightForm.FLOAT));
  }

  @Override
  public Weight floatMatrix(MatrixSource source) {
    return load(source, WeightLayout.of(source, WeightForm.FLOAT));
  }

  @Override
  public Weight latentProjection(MatrixSource source, Attention shape) {
    return load(source, WeightLayout.of(source, WeightForm.BF16));
  }

  private Weight load(MatrixSource source, WeightLayout layout) {
    device.bind();
    return upload.upload(source, layout);
  }

  @Override
  public Experts experts(List<MatrixSource> gateUp, List<MatrixSource> down) {
    device.bind();
    CudaWeight first = upload.upload(gateUp, WeightLayout.common(gateUp));
    return new CudaExperts(gateUp.size(), first, upload.upload(down, WeightLayout.common(down)));
  }

  // ---- memory --------------------------------------------------------------------------------

  @Override
  public Tensor floats(int rowCount, int columns) {
    return tensor(rowCount, columns, false);
  }

  @Override
  public Tensor operand(int rowCount, int columns) {
    return tensor(rowCount, columns, true);
  }

  private Tensor tensor(int rowCount, int columns, boolean isOperand) {
    device.bind();
    Memory memory = workspace.allocate(CudaTensor.bytes(rowCount, columns, isOperand));
    return new CudaTensor(rowCount, columns, isOperand, memory);
  }

  @Override
  public Routing routing(int rowCount, Router router) {
    device.bind();
    return CudaRouting.allocate(workspace, rowCount, router);
  }

  @Override
  public KvCache kvCache(int layers, int blocks, int blockSize, Attention shape) {
    device.bind();
    long bytes = layers * (blocks * CudaCache.blockBytes(blockSize, shape));
    return new CudaCache(
        layers, blocks, blockSize, shape.cacheColumns(), workspace.allocate(bytes));
  }

  @Override
  public long kvBlockBytes(int layers, int blockSize, Attention shape) {
    return layers * CudaCache.blockBytes(blockSize, shape);
  }

  // ---- the equations -------------------------------------------------------------------------

  /** Before an operation: its thread may call the device, and what was loaded is there. */
  private void begin() {
    device.bind();
    staging.drain();
  }

  @Override
  public void run(Step step, IntConsumer equations) {
    begin();
    run.prepare(step);
    graphs.run(step, equations);
  }

  @Override
  public void embed(Tensor x, Weight table, Step step) {
    begin();
    Shapes.check("embed", x, step.tokens(), table.columns());
    rows.embed((CudaTensor) x, (CudaWeight) table, step);
  }

  @Override
  public void rmsNorm(Tensor out, Tensor x, int from, Weight gain, float epsilon, int n) {
    begin();
    Shapes.check("rmsNorm", out, n, gain.columns());
    Shapes.checkSlice("rmsNorm", x, n, from, gain.columns());
    rows.rmsNorm((CudaTensor) out, (CudaTensor) x, from, (CudaWeight) gain, epsilon, n);
  }

  @Override
  public void matmul(Tensor out, Tensor x, Weight w, int n) {
    multiply(out, x, w, n, false);
  }

  @Override
  public void matmulAdd(Tensor out, Tensor x, Weight w, int n) {
    multiply(out, x, w, n, true);
  }

  private void multiply(Tensor out, Tensor x, Weight w, int n, boolean add) {
    begin();
    Shapes.check("matmul", out, n, w.rows());
    Shapes.check("matmul", x, n, w.columns());
    products.multiply((CudaTensor) out, (CudaTensor) x, (CudaWeight) w, n, add);
  }

  @Override
  public void swiglu(Tensor out, Tensor gateUp, int n) {
    begin();
    Shapes.check("swiglu", out, n, out.columns());
    Shapes.check("swiglu", gateUp, n, 2 * out.columns());
    rows.swiglu((CudaTensor) out, (CudaTensor) gateUp, n);
  }

  @Override
  public void appendLatent(
      KvCache cache,
      int layer,
      Tensor kv,
      int from,
      Weight gain,
      Rope rope,
      Attention shape,
      Step step) {
    begin();
    Shapes.checkSlice("appendLatent", kv, step.tokens(), from, shape.cacheColumns());
    rows.append(
        (CudaCache) cache, layer, (CudaTensor) kv, from, (CudaWeight) gain, rope, shape, step);
  }

  @Override
  public void latentAttention(
      Tensor out,
      Tensor q,
      KvCache cache,
      int layer,
      Weight kvB,
      Rope rope,
      Attention shape,
      Step step) {
    begin();
    Shapes.check("latentAttention", out, step.tokens(), shape.outputColumns());
    Shapes.checkSlice("latentAttention", q, step.tokens(), 0, shape.queryColumns());
    attention.run(
        (CudaTensor) out,
        (CudaTensor) q,
        (CudaCache) cache,
        layer,
        (CudaWeight) kvB,
        rope,
        shape,
        step);
  }

  @Override
  public void route(Routing routing, Tensor x, Weight gate, Weight bias, Router router, int n) {
    begin();
    Shapes.check("route", x, n, gate.columns());
    Shapes.checkRows("route", routing.capacity(), n);
    routes.run(
        (CudaRouting) routing, (CudaTensor) x, (CudaWeight) gate, (CudaWeight) bias, router, n);
  }

  @Override
  public void experts(Tensor out, Tensor x, Routing routing, Experts weight, int n) {
    begin();
    CudaExperts loaded = (CudaExperts) weight;
    Shapes.check("experts", x, n, loaded.gateUp().columns());
    Shapes.check("experts", out, n, loaded.down().rows());
    Shapes.checkRows("experts", routing.capacity(), n);
    experts.run((CudaTensor) out, (CudaTensor) x, (CudaRouting) routing, loaded, n);
  }

  @Override
  public void gatherLogitRows(Tensor out, Tensor x, Step step, int first, int count) {
    begin();
    Shapes.check("gatherLogitRows", out, count, x.columns());
    rows.gather((CudaTensor) out, (CudaTensor) x, step, first, count);
  }

  @Override
  public void argmax(int[] out, Tensor x, int n) {
    begin();
    Shapes.checkRows("argmax", x.capacity(), n);
    logits.argmax(out, (CudaTensor) x, n);
  }

  @Override
  public void logProbabilities(double[] out, Tensor x, int[] rowOf, int[] tokens, int count) {
    begin();
    logits.logProbabilities(out, (CudaTensor) x, rowOf, tokens, count);
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
