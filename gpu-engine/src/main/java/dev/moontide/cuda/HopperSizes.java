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
import dev.moontide.tensor.Encoding;
import dev.moontide.tensor.Experts;
import dev.moontide.tensor.MatrixSource;
import dev.moontide.tensor.Router;
import dev.moontide.tensor.Routing;
import dev.moontide.tensor.Tensor;
import dev.moontide.tensor.Weight;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** What {@link HopperOps} takes, and whether its kernels take the model at all. */
public final class HopperSizes extends DeviceSizes {
  /** On a card of this size logits of a whole batch are worth their memory. */
  static final long MAX_LOGIT_BYTES = 512L << 20;

  private final Set<ExpertLayouts> layouts = new HashSet<>();
  private @Nullable Attention attention;
  private @Nullable String refusal;
  private int layers;
  private int topK;

  private record ExpertLayouts(TileLayout gateUp, TileLayout down, int count) {}

  /** The first reason why the kernels do not take what was loaded; empty if there is none. */
  public Optional<String> refusal() {
    return Optional.ofNullable(refusal);
  }

  private void refuseIf(boolean cannot, String reason) {
    if (cannot) {
      note(Optional.of(reason));
    }
  }

  private void note(Optional<String> reason) {
    if (refusal == null) {
      refusal = reason.orElse(null);
    }
  }

  @Override
  public MemoryNeeds needs() {
    long scratch = attention == null ? 0 : PagedAttention.scratchBytes(attention, rows);
    for (ExpertLayouts layer : layouts) {
      scratch =
          Math.max(
              scratch,
              TileExpertProducts.scratchBytes(
                  layer.gateUp(), layer.down(), rows, topK, layer.count()));
    }
    return new MemoryNeeds(weights, workspace, scratch, PageCache.spareBytes(layers));
  }

  @Override
  public int blockSize(int usual) {
    return Tiles.PAGE_TOKENS;
  }

  // ---- loading -------------------------------------------------------------------------------

  private Weight tiles(TileLayout layout) {
    return weight(layout.rows(), layout.columns(), layout.arenaBytes(1));
  }

  private Weight fp8(MatrixSource source, TileLayout layout) {
    note(TileLayout.refusal(source));
    return tiles(layout);
  }

  @Override
  public Weight matrix(MatrixSource source) {
    return fp8(source, TileLayout.stacked(WeightForm.FP8, source));
  }

  @Override
  public Weight queryKeyValueProjection(MatrixSource source) {
    return matrix(source);
  }

  @Override
  public Weight gateUp(MatrixSource source) {
    return fp8(source, TileLayout.interleaved(source));
  }

  @Override
  public Weight head(MatrixSource source) {
    return tiles(TileLayout.stacked(WeightForm.BF16, source));
  }

  @Override
  public Weight floatMatrix(MatrixSource source) {
    refuseIf(
        !(source.encoding() instanceof Encoding.Bf16),
        source.name() + " is not bf16, in which they multiply it");
    return tiles(TileLayout.stacked(WeightForm.BF16, source));
  }

  @Override
  public Weight latentProjection(MatrixSource source, Attention shape) {
    note(PagedAttention.refusal(shape));
    attention = shape;
    layers++;
    return weight(
        source.rows(),
        source.columns(),
        Arena.rounded(LatentTiles.upBytes(shape.heads()))
            + Arena.rounded(LatentTiles.absorbedBytes(shape.heads())));
  }

  @Override
  public Experts experts(List<MatrixSource> gateUp, List<MatrixSource> down) {
    gateUp.forEach(source -> note(TileLayout.refusal(source)));
    down.forEach(source -> note(TileLayout.refusal(source)));
    int count = gateUp.size();
    refuseIf(
        count > TileExpertProducts.MAX_EXPERTS,
        "a layer has %d experts, and they take up to %d"
            .formatted(count, TileExpertProducts.MAX_EXPERTS));
    TileLayout first = TileLayout.interleaved(gateUp.get(0));
    TileLayout second = TileLayout.stacked(WeightForm.FP8, down.get(0));
    refuseIf(second.rows() % 4 != 0, "hidden_size is not a multiple of 4");
    layouts.add(new ExpertLayouts(first, second, count));
    long bytes = first.arenaBytes(count) + second.arenaBytes(count);
    weights += bytes;
    return new SizedExperts(count, second.columns(), bytes);
  }

  // ---- memory --------------------------------------------------------------------------------

  private Tensor panel(PanelTensor.Kind kind, int rowCount, int columns) {
    return tensor(rowCount, columns, PanelTensor.arenaBytes(kind, rowCount, columns, 1));
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
    refuseIf(
        columns > TileRows.MAX_COLUMNS,
        "hidden_size is %d, and they take up to %d".formatted(columns, TileRows.MAX_COLUMNS));
    return panel(PanelTensor.Kind.HIGH_LOW, rowCount, columns);
  }

  @Override
  public Tensor queries(int rowCount, int columns) {
    return panel(PanelTensor.Kind.ROWS, rowCount, columns);
  }

  @Override
  public Tensor queryKeyValue(int rowCount, int hidden, int queryColumns, int entryColumns) {
    refuseIf(
        attention != null && queryColumns == attention.queryColumns(),
        "it has no q_lora_rank, whose norm they make queries from");
    return tensor(
        rowCount,
        queryColumns + entryColumns,
        PanelTensor.arenaBytes(
            PanelTensor.Kind.PARTS,
            rowCount,
            PanelTensor.partColumns(queryColumns, entryColumns),
            PanelTensor.splits(hidden)));
  }

  @Override
  public Tensor gateUpSpace(int rowCount, int width) {
    return floats(1, 1);
  }

  @Override
  public long maxLogitBytes() {
    return MAX_LOGIT_BYTES;
  }

  @Override
  public Routing routing(int rowCount, Router router) {
    topK = Math.max(topK, router.topK());
    refuseIf(
        topK > TileExpertProducts.MAX_TOP_K,
        "a token has %d experts, and they take up to %d"
            .formatted(topK, TileExpertProducts.MAX_TOP_K));
    workspace += TileRouting.arenaBytes(rowCount, router);
    return new SizedRouting(rowCount, router.topK());
  }

  @Override
  public long kvBlockBytes(int layerCount, int blockSize, Attention shape) {
    return (long) layerCount * Tiles.PAGE_BYTES;
  }
}
