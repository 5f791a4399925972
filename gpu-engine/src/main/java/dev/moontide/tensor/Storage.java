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
package dev.moontide.tensor;

import java.util.List;

/**
 * Where a model lives on a device: its weights, its workspace and its latent cache. Loading methods
 * are safe to call concurrently, the others are called by one thread at a time.
 *
 * <p>Tensors come in two kinds. <i>Operands</i> feed matrix products and are stored in {@link
 * #dtype()}; everything else is float32.
 */
public interface Storage extends AutoCloseable {
  /** A short name and the device, for logs and reports: {@code "cpu: oneDNN bf16, 2 threads"}. */
  String description();

  /**
   * Type of packed weights and the cache; operands are of this type, or of float32 where a backend
   * multiplies that with weights of this type.
   */
  DType dtype();

  // ---- loading -------------------------------------------------------------------------------

  /** Converts a matrix [outputs, inputs] for {@link Ops#matmul}. Thread-safe. */
  Weight matrix(MatrixSource source);

  /** Converts an embedding table [vocabulary, hidden] for {@link Ops#embed}. Thread-safe. */
  Weight table(MatrixSource source);

  /** Loads a vector [1, n] in float32 (norm gains, the router's bias). Thread-safe. */
  Weight vector(MatrixSource source);

  /**
   * Converts {@code q_a_proj} above {@code kv_a_proj}, whose products go to a tensor of {@link
   * #queryKeyValue}. Thread-safe.
   */
  default Weight queryKeyValueProjection(MatrixSource source) {
    return matrix(source);
  }

  /** Converts {@code gate_proj} above {@code up_proj}, for {@link Ops#gated}. Thread-safe. */
  default Weight gateUp(MatrixSource source) {
    return matrix(source);
  }

  /** Converts {@code lm_head}, which multiplies operands of {@link #headOperand}. Thread-safe. */
  default Weight head(MatrixSource source) {
    return matrix(source);
  }

  /** Loads a matrix kept and multiplied in float32 (the router's gate). Thread-safe. */
  Weight floatMatrix(MatrixSource source);

  /**
   * Converts {@code kv_b_proj} [heads · (nopeDim + valueDim), latentDim] for {@link
   * Ops#latentAttention}. Thread-safe.
   */
  Weight latentProjection(MatrixSource source, Attention attention);

  /** Converts a layer's routed experts, {@code gateUp} and {@code down} by expert. Thread-safe. */
  Experts experts(List<MatrixSource> gateUp, List<MatrixSource> down);

  /**
   * Waits until what was loaded is in its place.
   *
   * @throws dev.moontide.api.MoontideException of category checkpoint for a weight that was found
   *     damaged on its way
   */
  default void finishLoading() {}

  // ---- memory --------------------------------------------------------------------------------

  /** A float32 tensor of {@code rows × columns}, freed with these operations. */
  Tensor floats(int rows, int columns);

  /** An operand of {@code rows × columns}, which feeds products; freed with these operations. */
  Tensor operand(int rows, int columns);

  // Tensors that one kind of operation alone reads: a backend may keep them as its kernels take
  // them.

  /**
   * Products of rows of {@code hidden} columns with {@link #queryKeyValueProjection}: the query's
   * latent, then a cache entry of {@code entryColumns}.
   */
  default Tensor queryKeyValue(int rows, int hidden, int queryColumns, int entryColumns) {
    return floats(rows, queryColumns + entryColumns);
  }

  /** Queries, not yet rotated: {@link Ops#latentAttention} alone reads them. */
  default Tensor queries(int rows, int columns) {
    return floats(rows, columns);
  }

  /** What {@link Ops#route} reads. */
  default Tensor routerInput(int rows, int columns) {
    return floats(rows, columns);
  }

  /** Feeds the product with {@link #head}. */
  default Tensor headOperand(int rows, int columns) {
    return operand(rows, columns);
  }

  /** Where {@link Ops#gated} puts what it computes on the way to {@code width} columns. */
  default Tensor gateUpSpace(int rows, int width) {
    return floats(rows, 2 * width);
  }

  /** Rows of logits: {@link Ops#answer} reads them. */
  default Tensor logits(int rows, int vocabulary) {
    return floats(rows, vocabulary);
  }

  /** The most memory that logits computed at once may take. */
  default long maxLogitBytes() {
    return 64L << 20;
  }

  /** Room for the routing of {@code rows} tokens. */
  Routing routing(int rows, Router router);

  /** The latent cache. */
  KvCache kvCache(int layers, int blocks, int blockSize, Attention attention);

  /** Bytes of cache one block takes over all layers. */
  long kvBlockBytes(int layers, int blockSize, Attention attention);

  /** Frees every weight, tensor and cache made here. */
  @Override
  void close();
}
