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

import java.util.function.IntConsumer;

/**
 * What the model's equations need of a device. One instance serves one engine thread: the loading
 * methods are safe to call concurrently, everything else is called by one thread at a time, and no
 * operation keeps state between calls other than in the tensors and cache it is given.
 *
 * <p><b>Bit invariance.</b> Row {@code i} of every result depends on row {@code i} of the inputs
 * (and, for attention, on the cache entries it sees) alone: never on the other rows, their number,
 * the row's place, or the number of threads.
 *
 * <p>In the equations below {@code n} is the number of rows of the step.
 */
public interface Ops extends Storage {
  /**
   * Runs {@code equations} for {@code step}, giving them the rows to compute: at least the step's
   * tokens, at most its {@link Step#maxTokens()}. What rows beyond the tokens hold is arbitrary. A
   * device may record what the equations ask of it and replay that for other steps, so each call on
   * an instance is given the same equations on the same tensors, and they only call operations that
   * return nothing.
   */
  void run(Step step, IntConsumer equations);

  /**
   * Copies blocks of every layer as {@code step} asks: the first {@link Step#copyTokens} entries;
   * what the rest of a target holds is arbitrary.
   */
  void copyBlocks(KvCache cache, Step step);

  /** {@code x[t] = table[tokenId(t)]}; {@code x} is float32. */
  void embed(Tensor x, Weight table, Step step);

  /**
   * {@code out[t] = x[t, from : from + width] / √(mean(x²) + epsilon) · gain}, the statistics in
   * float32; {@code width} is the gain's length. {@code out} is of either kind.
   */
  void rmsNorm(Tensor out, Tensor x, int from, Weight gain, float epsilon, int n);

  /** {@link #rmsNorm} of whole rows, as an operand and as what {@link #route} reads. */
  default void rmsNormToRoute(
      Tensor out, Tensor routed, Tensor x, Weight gain, float epsilon, int n) {
    rmsNorm(out, x, 0, gain, epsilon, n);
    rmsNorm(routed, x, 0, gain, epsilon, n);
  }

  /** {@code out[t] = W · x[t]}; {@code x} is an operand, {@code out} float32. */
  void matmul(Tensor out, Tensor x, Weight w, int n);

  /** {@code out[t] += W · x[t]}, the residual; {@code x} is an operand, {@code out} float32. */
  void matmulAdd(Tensor out, Tensor x, Weight w, int n);

  /**
   * {@code out[t] = silu(gateUp[t, :h]) · gateUp[t, h:]}; {@code out} is an operand, and what
   * {@code gateUp} holds is lost.
   */
  void swiglu(Tensor out, Tensor gateUp, int n);

  /**
   * {@code out[t] = silu(W_gate · x[t]) · (W_up · x[t])}, operands; {@code space} is of {@link
   * Storage#gateUpSpace}.
   */
  default void gated(Tensor out, Tensor space, Tensor x, Weight gateUp, int n) {
    matmul(space, x, gateUp, n);
    swiglu(out, space, n);
  }

  /**
   * Writes each token's cache entry: the latent {@code rmsNorm(kv[t, from : from + latentDim])}
   * with {@code gain}, and the rotary embedding of the {@code ropeDim} numbers after it, rounded to
   * {@link #dtype()}.
   */
  void appendLatent(
      KvCache cache,
      int layer,
      Tensor kv,
      int from,
      Weight gain,
      Rope rope,
      Attention attention,
      Step step);

  /**
   * Multi-head latent attention over the cache, which already holds the step's own tokens. With
   * {@code q[t]} per head {@code [nope | rope]} (not yet rotated), {@code kvB} per head {@code
   * [W_uk; W_uv]} and {@code c_j}, {@code r_j} the latent and rotated key of each visible entry:
   *
   * <pre>{@code
   * s_j    = softmaxScale · ((nopeᵀ·W_uk)·c_j + rope(q)·r_j)
   * out[t] = W_uv · Σ_j softmax(s)_j · c_j          (per head, concatenated)
   * }</pre>
   *
   * <p>This is the absorbed form; a backend may use the naive one ({@code k = W_uk·c}, {@code v =
   * W_uv·c}) where that choice depends on the token's own sequence alone. {@code q} is float32,
   * {@code out} an operand.
   */
  void latentAttention(
      Tensor out,
      Tensor q,
      KvCache cache,
      int layer,
      Weight kvB,
      Rope rope,
      Attention attention,
      Step step);

  /**
   * Chooses experts in float32: {@code p = sigmoid(gate · x)}; selection by {@code p + bias} within
   * the best groups, ties to the lower index; weights {@code p / (Σp + 1e-20) · scale} (without the
   * division where {@link Router#normalise()} is false). {@code x} is float32: the same norm the
   * experts see, before its rounding to an operand.
   */
  void route(Routing routing, Tensor x, Weight gate, Weight bias, Router router, int n);

  /**
   * {@code out[t] += Σ_k weight_k · down_k(silu(gate_k(x[t])) · up_k(x[t]))} over the experts
   * chosen for the token, summed in ascending order of expert; {@code x} is an operand, {@code out}
   * float32.
   */
  void experts(Tensor out, Tensor x, Routing routing, Experts experts, int n);

  /** {@code out[i] = x[logitToken(first + i)]} for {@code i < count}; both float32. */
  void gatherLogitRows(Tensor out, Tensor x, Step step, int first, int count);

  /**
   * Answers {@code queries} by rows of {@code logits}. Tokens are those that {@code
   * dev.moontide.sampling.Sampler} draws, which every device agrees with bit for bit; a row that is
   * drawn from may be changed. Of {@code log softmax(logits[row])[token]} each row's sum is
   * computed once and in a fixed order; it is NaN where the row has a NaN, or no finite largest
   * entry.
   */
  void answer(LogitQueries queries, Tensor logits);

  /** Copies row {@code row} of a float32 tensor into {@code out} from {@code offset}. */
  void read(Tensor x, int row, float[] out, int offset);
}
