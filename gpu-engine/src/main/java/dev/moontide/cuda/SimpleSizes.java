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
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** What {@link SimpleOps} takes. */
final class SimpleSizes extends DeviceSizes {
  private final Set<WeightLayout> products = new HashSet<>();
  private final Set<ExpertLayouts> experts = new HashSet<>();
  private @Nullable Attention attention;
  private int topK;

  private record ExpertLayouts(WeightLayout gateUp, WeightLayout down) {}

  @Override
  public MemoryNeeds needs() {
    long scratch = attention == null ? 0 : LatentAttention.scratchBytes(attention, rows);
    for (WeightLayout layout : products) {
      scratch = Math.max(scratch, Products.scratchBytes(layout, rows));
    }
    for (ExpertLayouts layer : experts) {
      scratch =
          Math.max(scratch, ExpertProducts.scratchBytes(layer.gateUp(), layer.down(), rows, topK));
    }
    return new MemoryNeeds(weights, workspace, scratch, 0);
  }

  @Override
  public int blockSize(int usual) {
    return usual;
  }

  @Override
  public Weight matrix(MatrixSource source) {
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
    return weight(WeightLayout.of(source, WeightForm.BF16));
  }

  @Override
  public Experts experts(List<MatrixSource> gateUp, List<MatrixSource> down) {
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
