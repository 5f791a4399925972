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
import java.util.Objects;
import java.util.OptionalInt;
import org.jspecify.annotations.Nullable;

/**
 * The operations on weights, activations and a cache that lie row after row: in kernels right on
 * every shape and device, or with products on tensor cores by {@code mma.sync}.
 */
final class RowMajorOps extends CudaOps {
  /** Null on the simple path. */
  private final @Nullable MmaKernels mma;

  private final LinearProducts products;
  private final LatentAttention attention;

  /** Null where the model's attention does not suit it. */
  private @Nullable MmaAttention mmaAttention;

  private final Routes routes;
  private final RoutedProducts experts;

  /**
   * @param path {@link KernelPath#SIMPLE} or {@link KernelPath#MMA}
   */
  RowMajorOps(CudaDevice device, KernelPath path, MemoryNeeds needs, Owned owned) {
    super(device, path, needs, owned);
    if (path == KernelPath.MMA) {
      mma = new MmaKernels(run, kernels);
      products = new MmaProducts(run, kernels, mma);
      experts = new MmaExpertProducts(run, mma);
    } else {
      mma = null;
      products = new Products(run, rows);
      experts = new ExpertProducts(run, rows);
    }
    attention = new LatentAttention(run);
    routes = new Routes(run, products);
  }

  @Override
  public String description() {
    return "cuda: bf16, " + (mma == null ? "" : "mma kernels, ") + device.description();
  }

  /** The splits of attention, a power of two. */
  @Override
  public OptionalInt variant(Step step, int rowCount) {
    int entries = mmaAttention == null ? LatentAttention.SPLIT : MmaAttention.SPLIT;
    int splits = Math.max(1, Products.tiles(run.maxVisible(), entries));
    int variant = Integer.SIZE - Integer.numberOfLeadingZeros(splits - 1);
    return variant < StepGraphs.VARIANTS ? OptionalInt.of(variant) : OptionalInt.empty();
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
    if (mma == null || !MmaAttention.suits(shape)) {
      return load(source, WeightLayout.of(source, WeightForm.BF16));
    }
    device.bind();
    synchronized (mma) {
      if (mmaAttention == null) {
        mmaAttention = new MmaAttention(run, kernels, mma);
      }
    }
    return LatentHeads.upload(source, shape, weights, staging);
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
  public Tensor gateUpSpace(int rowCount, int width) {
    return mma != null ? tensor(1, 1, false) : floats(rowCount, 2 * width);
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
  public void gated(Tensor out, Tensor space, Tensor x, Weight gateUp, int n) {
    begin();
    Shapes.check("gated", out, n, gateUp.rows() / 2);
    Shapes.check("gated", x, n, gateUp.columns());
    products.gated((CudaTensor) out, (CudaTensor) space, (CudaTensor) x, (CudaWeight) gateUp, n);
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
    CudaTensor to = (CudaTensor) out;
    CudaTensor from = (CudaTensor) q;
    if (kvB instanceof LatentHeads heads) {
      Objects.requireNonNull(mmaAttention)
          .run(to, from, (CudaCache) cache, layer, heads, rope, shape, step);
    } else {
      attention.run(to, from, (CudaCache) cache, layer, (CudaWeight) kvB, rope, shape, step);
    }
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
