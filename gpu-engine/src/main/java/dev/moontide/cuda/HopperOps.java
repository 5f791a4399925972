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

/**
 * The operations in Hopper's kernels, for the models that {@link HopperSizes} does not refuse:
 * products of FP8 tiles, activations rounded to FP8 by row and 128 columns; the router, {@code
 * kv_b_proj} and {@code lm_head} in bf16.
 */
final class HopperOps extends CudaOps {
  private static final int ONE_SUM = 1;

  private final PagedStep pages;
  private final TileUpload tiles;
  private final TileRows tileRows;
  private final TileProducts products;
  private final TileExpertProducts experts;
  private final PagedAttention attention;
  private final Routes routes;

  HopperOps(CudaDevice device, MemoryNeeds needs, Owned owned) {
    super(device, KernelPath.HOPPER, needs, owned);
    pages = owned.add(new PagedStep(device, run.stream));
    tiles = new TileUpload(weights, staging, kernels);
    tileRows = new TileRows(run, kernels, pages);
    products = new TileProducts(run, kernels);
    experts = new TileExpertProducts(run, kernels, products);
    attention = new PagedAttention(run, kernels, pages);
    routes = new Routes(run, new Products(run, rows));
  }

  @Override
  public String description() {
    return "cuda: bf16, Hopper kernels, " + device.description();
  }

  @Override
  public long generation() {
    return super.generation() + pages.generation();
  }

  /** Whether attention's pieces are items of their own; none for prompts and tries. */
  @Override
  public OptionalInt variant(Step step, int rowCount) {
    PagedLayout layout = pages.prepare(step, rowCount);
    return layout.isPlain()
        ? OptionalInt.of(AbsorbedAttention.isPlanned(layout.ranges().get(0)) ? 1 : 0)
        : OptionalInt.empty();
  }

  // ---- loading -------------------------------------------------------------------------------

  @Override
  public Weight matrix(MatrixSource source) {
    return tiles(source, TileLayout.stacked(WeightForm.FP8, source), ONE_SUM);
  }

  @Override
  public Weight queryKeyValueProjection(MatrixSource source) {
    return tiles(
        source, TileLayout.stacked(WeightForm.FP8, source), PanelTensor.splits(source.columns()));
  }

  @Override
  public Weight gateUp(MatrixSource source) {
    return tiles(source, TileLayout.interleaved(source), ONE_SUM);
  }

  @Override
  public Weight head(MatrixSource source) {
    return tiles(source, TileLayout.stacked(WeightForm.BF16, source), ONE_SUM);
  }

  @Override
  public Weight floatMatrix(MatrixSource source) {
    return tiles(
        source, TileLayout.stacked(WeightForm.BF16, source), TileRouting.splits(source.columns()));
  }

  private TileWeight tiles(MatrixSource source, TileLayout layout, int splits) {
    device.bind();
    return tiles.upload(List.of(source), layout, splits);
  }

  @Override
  public Weight latentProjection(MatrixSource source, Attention shape) {
    device.bind();
    return tiles.latent(source, shape.heads());
  }

  @Override
  public Experts experts(List<MatrixSource> gateUp, List<MatrixSource> down) {
    device.bind();
    TileWeight first = tiles.upload(gateUp, TileLayout.interleaved(gateUp.get(0)), ONE_SUM);
    TileWeight second =
        tiles.upload(down, TileLayout.stacked(WeightForm.FP8, down.get(0)), ONE_SUM);
    return new TileExperts(gateUp.size(), first, second);
  }

  // ---- memory --------------------------------------------------------------------------------

  private Tensor panel(PanelTensor.Kind kind, int rowCount, int columns) {
    device.bind();
    return PanelTensor.allocate(workspace, kind, rowCount, columns);
  }

  @Override
  public Tensor operand(int rowCount, int columns) {
    return panel(PanelTensor.Kind.FP8, rowCount, columns);
  }

  @Override
  public Tensor headOperand(int rowCount, int columns) {
    return panel(PanelTensor.Kind.BF16, rowCount, columns);
  }

  @Override
  public Tensor routerInput(int rowCount, int columns) {
    return panel(PanelTensor.Kind.HIGH_LOW, rowCount, columns);
  }

  @Override
  public Tensor queries(int rowCount, int columns) {
    return panel(PanelTensor.Kind.ROWS, rowCount, columns);
  }

  @Override
  public Tensor queryKeyValue(int rowCount, int hidden, int queryColumns, int entryColumns) {
    device.bind();
    return PanelTensor.parts(workspace, rowCount, hidden, queryColumns, entryColumns);
  }

  /** The fused product needs none. */
  @Override
  public Tensor gateUpSpace(int rowCount, int width) {
    return tensor(1, 1, false);
  }

  @Override
  public long maxLogitBytes() {
    return HopperSizes.MAX_LOGIT_BYTES;
  }

  @Override
  public Routing routing(int rowCount, Router router) {
    device.bind();
    return TileRouting.allocate(workspace, rowCount, router);
  }

  @Override
  public KvCache kvCache(int layers, int blocks, int blockSize, Attention shape) {
    device.bind();
    if (blockSize != Tiles.PAGE_TOKENS) {
      throw new IllegalArgumentException(
          "blocks of %d tokens: the Hopper kernels take %d"
              .formatted(blockSize, Tiles.PAGE_TOKENS));
    }
    return new PageCache(layers, blocks, workspace.allocate(PageCache.bytes(layers, blocks)));
  }

  @Override
  public long kvBlockBytes(int layers, int blockSize, Attention shape) {
    return (long) layers * Tiles.PAGE_BYTES;
  }

  // ---- the equations -------------------------------------------------------------------------

  @Override
  public void rmsNorm(Tensor out, Tensor x, int from, Weight gain, float epsilon, int n) {
    begin();
    Shapes.check("rmsNorm", out, n, gain.columns());
    Shapes.checkSlice("rmsNorm", x, n, from, gain.columns());
    tileRows.norm((PanelTensor) out, x, from, (CudaWeight) gain, epsilon, n);
  }

  @Override
  public void matmul(Tensor out, Tensor x, Weight w, int n) {
    begin();
    check(out, x, w, n);
    PanelTensor a = (PanelTensor) x;
    TileWeight weight = (TileWeight) w;
    if (weight.layout().form() == WeightForm.BF16) {
      products.linearBf16(((CudaTensor) out).memory().address(), out.capacity(), a, weight, n);
    } else if (out instanceof PanelTensor panel) {
      TileProducts.Store store =
          panel.kind() == PanelTensor.Kind.ROWS
              ? TileProducts.Store.BF16
              : TileProducts.Store.FLOAT;
      products.linear(
          panel.memory().address(),
          store,
          weight.layout().paddedRows(),
          panel.stride(),
          panel.capacity(),
          a,
          weight,
          n);
    } else {
      linear((CudaTensor) out, TileProducts.Store.FLOAT, a, weight, n);
    }
  }

  @Override
  public void matmulAdd(Tensor out, Tensor x, Weight w, int n) {
    begin();
    check(out, x, w, n);
    linear((CudaTensor) out, TileProducts.Store.ADD, (PanelTensor) x, (TileWeight) w, n);
  }

  private static void check(Tensor out, Tensor x, Weight w, int n) {
    Shapes.check("matmul", out, n, w.rows());
    Shapes.check("matmul", x, n, w.columns());
  }

  private void linear(
      CudaTensor out, TileProducts.Store store, PanelTensor a, TileWeight w, int n) {
    products.linear(
        out.memory().address(), store, w.rows(), out.columns(), out.capacity(), a, w, n);
  }

  @Override
  public void swiglu(Tensor out, Tensor gateUp, int n) {
    throw new UnsupportedOperationException("the Hopper kernels fuse it into gated");
  }

  @Override
  public void gated(Tensor out, Tensor space, Tensor x, Weight gateUp, int n) {
    begin();
    Shapes.check("gated", out, n, gateUp.rows() / 2);
    Shapes.check("gated", x, n, gateUp.columns());
    TileWeight w = (TileWeight) gateUp;
    products.gateUp(
        TileProducts.Panel.of((PanelTensor) out),
        TileProducts.Panel.of((PanelTensor) x),
        w,
        new TileProducts.Rows(TileProducts.tileRows(n, w.layout().kBlocks()), 0, 0, n));
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
    tileRows.append(
        (PageCache) cache,
        layer,
        (PanelTensor) kv,
        (CudaWeight) gain,
        shape.normEpsilon(),
        rope,
        step);
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
    Shapes.check("latentAttention", q, step.tokens(), shape.queryColumns());
    attention.run(
        (PanelTensor) out,
        (PanelTensor) q,
        (PageCache) cache,
        layer,
        (LatentTiles) kvB,
        rope,
        shape,
        step);
  }

  @Override
  public void route(Routing routing, Tensor x, Weight gate, Weight bias, Router router, int n) {
    begin();
    Shapes.check("route", x, n, gate.columns());
    Shapes.checkRows("route", routing.capacity(), n);
    TileRouting tokens = (TileRouting) routing;
    TileWeight w = (TileWeight) gate;
    products.linearBf16(tokens.scores().address(), tokens.capacity(), (PanelTensor) x, w, n);
    routes.choose(
        tokens.chosen(),
        tokens.weights(),
        tokens.scores(),
        w.splits(),
        (long) tokens.capacity() * tokens.experts(),
        (CudaWeight) bias,
        router,
        n);
  }

  @Override
  public void experts(Tensor out, Tensor x, Routing routing, Experts weight, int n) {
    begin();
    TileExperts loaded = (TileExperts) weight;
    Shapes.check("experts", x, n, loaded.gateUp().columns());
    Shapes.check("experts", out, n, loaded.down().rows());
    Shapes.checkRows("experts", routing.capacity(), n);
    experts.run((CudaTensor) out, (PanelTensor) x, (TileRouting) routing, loaded, n);
  }
}
