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

/** What {@link RowMajorOps} takes, and whether the mma kernels take the model. */
public final class RowMajorSizes extends DeviceSizes {
  private final boolean isMma;
  private final Set<WeightLayout> products = new HashSet<>();
  private final Set<ExpertLayouts> experts = new HashSet<>();
  private @Nullable Attention attention;
  private @Nullable String refusal;
  private int topK;

  private record ExpertLayouts(WeightLayout gateUp, WeightLayout down) {}

  /**
   * @param path {@link KernelPath#SIMPLE} or {@link KernelPath#MMA}
   */
  public RowMajorSizes(KernelPath path) {
    isMma = path == KernelPath.MMA;
  }

  /** The first reason why the mma kernels do not take what was loaded; empty if there is none. */
  public Optional<String> refusal() {
    return Optional.ofNullable(refusal);
  }

  private void note(MatrixSource source) {
    if (refusal == null) {
      refusal = MmaKernels.refusal(source).orElse(null);
    }
  }

  @Override
  public MemoryNeeds needs() {
    long scratch = attention == null ? 0 : attentionScratch(attention);
    for (WeightLayout layout : products) {
      scratch = Math.max(scratch, isMma ? 0 : Products.scratchBytes(layout, rows));
    }
    for (ExpertLayouts layer : experts) {
      scratch =
          Math.max(
              scratch,
              isMma
                  ? MmaExpertProducts.scratchBytes(layer.down(), rows, topK)
                  : ExpertProducts.scratchBytes(layer.gateUp(), layer.down(), rows, topK));
    }
    return new MemoryNeeds(weights, workspace, scratch, 0);
  }

  @Override
  public int blockSize(int usual) {
    return usual;
  }

  @Override
  public Weight matrix(MatrixSource source) {
    note(source);
    WeightLayout layout = WeightLayout.of(source);
    products.add(layout);
    return weight(layout);
  }

  @Override
  public Weight floatMatrix(MatrixSource source) {
    return weight(WeightLayout.of(source, WeightForm.FLOAT));
  }

  @Override
  public Weight latentProjection(MatrixSource source, Attention shape) {
    attention = shape;
    return usesTensorCores(shape)
        ? weight(source.rows(), source.columns(), LatentHeads.arenaBytes(shape))
        : weight(WeightLayout.of(source, WeightForm.BF16));
  }

  private boolean usesTensorCores(Attention shape) {
    return isMma && MmaAttention.suits(shape);
  }

  private long attentionScratch(Attention shape) {
    return usesTensorCores(shape)
        ? MmaAttention.scratchBytes(shape, rows)
        : LatentAttention.scratchBytes(shape, rows);
  }

  @Override
  public Experts experts(List<MatrixSource> gateUp, List<MatrixSource> down) {
    gateUp.forEach(this::note);
    down.forEach(this::note);
    WeightLayout first = WeightLayout.common(gateUp);
    WeightLayout second = WeightLayout.common(down);
    experts.add(new ExpertLayouts(first, second));
    long bytes = first.arenaBytes(gateUp.size()) + second.arenaBytes(down.size());
    weights += bytes;
    return new SizedExperts(gateUp.size(), second.columns(), bytes);
  }

  @Override
  public Tensor operand(int rowCount, int columns) {
    return tensor(rowCount, columns, Arena.rounded(CudaTensor.bytes(rowCount, columns, true)));
  }

  @Override
  public Tensor gateUpSpace(int rowCount, int width) {
    return isMma
        ? tensor(1, 1, Arena.rounded(CudaTensor.bytes(1, 1, false)))
        : floats(rowCount, 2 * width);
  }

  @Override
  public Routing routing(int rowCount, Router router) {
    topK = Math.max(topK, router.topK());
    workspace += CudaRouting.arenaBytes(rowCount, router);
    return new SizedRouting(rowCount, router.topK());
  }

  @Override
  public long kvBlockBytes(int layers, int blockSize, Attention shape) {
    return layers * CudaCache.blockBytes(blockSize, shape);
  }
}
