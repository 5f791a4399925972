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
import dev.moontide.tensor.Routing;
import dev.moontide.tensor.Storage;
import dev.moontide.tensor.Tensor;
import dev.moontide.tensor.Weight;

/**
 * Adds up what {@link CudaOps} would take of a device's memory for the same calls, without a device
 * and without reading a weight. Used by one thread.
 */
public abstract class DeviceSizes implements Storage {
  long weights;
  long workspace;

  /** Rows of the largest step. */
  int rows;

  /** A weight that is not there. */
  record Sized(int rows, int columns, long bytes) implements Weight {}

  /** Experts that are not there. */
  record SizedExperts(int count, int intermediate, long bytes) implements Experts {}

  /** A tensor that is not there. */
  record SizedTensor(int capacity, int columns) implements Tensor {}

  /** A routing that is not there. */
  record SizedRouting(int capacity, int topK) implements Routing {}

  private record SizedCache(int blocks, int blockSize) implements KvCache {}

  /** The sizes on {@code path}. */
  public static DeviceSizes of(KernelPath path) {
    return switch (path) {
      case SIMPLE, MMA -> new RowMajorSizes(path);
      case HOPPER -> new HopperSizes();
    };
  }

  /** What the calls so far take. */
  public abstract MemoryNeeds needs();

  /** Tokens of a cache block: {@code usual} where the path has no size of its own. */
  public abstract int blockSize(int usual);

  @Override
  public String description() {
    return "the sizes of a model on a CUDA device";
  }

  @Override
  public DType dtype() {
    return DType.BF16;
  }

  final Weight weight(int rowCount, int columns, long bytes) {
    weights += bytes;
    return new Sized(rowCount, columns, bytes);
  }

  final Weight weight(WeightLayout layout) {
    return weight(layout.rows(), layout.columns(), layout.arenaBytes(1));
  }

  @Override
  public Weight table(MatrixSource source) {
    return weight(WeightLayout.of(source, WeightForm.BF16));
  }

  @Override
  public Weight vector(MatrixSource source) {
    return weight(WeightLayout.of(source, WeightForm.FLOAT));
  }

  final Tensor tensor(int rowCount, int columns, long bytes) {
    rows = Math.max(rows, rowCount);
    workspace += bytes;
    return new SizedTensor(rowCount, columns);
  }

  @Override
  public Tensor floats(int rowCount, int columns) {
    return tensor(rowCount, columns, Arena.rounded(CudaTensor.bytes(rowCount, columns, false)));
  }

  /** The cache is planned last, from what is left: it counts for nothing here. */
  @Override
  public KvCache kvCache(int layers, int blocks, int blockSize, Attention shape) {
    return new SizedCache(blocks, blockSize);
  }

  @Override
  public void close() {}
}
