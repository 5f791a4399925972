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
import dev.moontide.tensor.Experts;
import dev.moontide.tensor.KvCache;
import dev.moontide.tensor.MatrixSource;
import dev.moontide.tensor.Rope;
import dev.moontide.tensor.Router;
import dev.moontide.tensor.Routing;
import dev.moontide.tensor.Step;
import dev.moontide.tensor.Tensor;
import dev.moontide.tensor.Weight;
import java.util.List;
import java.util.OptionalInt;

/** The operations in kernels that are right on every shape and device. */
final class SimpleOps extends CudaOps {
  private final Products products;
  private final LatentAttention attention;
  private final Routes routes;
  private final ExpertProducts experts;

  SimpleOps(CudaDevice device, MemoryNeeds needs, Owned owned) {
    super(device, KernelPath.SIMPLE, needs, owned);
    products = new Products(run, rows);
    attention = new LatentAttention(run);
    routes = new Routes(run, products);
    experts = new ExpertProducts(run, rows);
  }

  @Override
  public String description() {
    return "cuda: bf16, " + device.description();
  }

  /** The splits of attention, a power of two. */
  @Override
  public OptionalInt variant(Step step, int rowCount) {
    int splits = Math.max(1, LatentAttention.splits(run.maxVisible()));
    return OptionalInt.of(Integer.SIZE - Integer.numberOfLeadingZeros(splits - 1));
  }

  // ---- loading -------------------------------------------------------------------------------

  @Override
  public Weight matrix(MatrixSource source) {
    return load(source, WeightLayout.of(source));
  }

  @Override
  public Weight floatMatrix(MatrixSource source) {
    return load(source, WeightLayout.of(source, WeightForm.FLOAT));
  }

  @Override
  public Weight latentProjection(MatrixSource source, Attention shape) {
    return load(source, WeightLayout.of(source, WeightForm.BF16));
  }

  @Override
  public Experts experts(List<MatrixSource> gateUp, List<MatrixSource> down) {
    device.bind();
    CudaWeight first = upload.upload(gateUp, WeightLayout.common(gateUp));
    return new CudaExperts(gateUp.size(), first, upload.upload(down, WeightLayout.common(down)));
  }

  // ---- memory --------------------------------------------------------------------------------

  @Override
  public Tensor operand(int rowCount, int columns) {
    return tensor(rowCount, columns, true);
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
}
