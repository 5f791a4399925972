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
import dev.moontide.tensor.Rope;
import dev.moontide.tensor.Step;
import java.util.Optional;

/**
 * Multi-head latent attention over pages: the absorbed form for ranges of rows, then the naive one
 * for rows of prompts that take it, as {@link PagedLayout} says.
 */
final class PagedAttention {
  /** What the kernels are made for. */
  private static final int LATENT = 512;

  private static final int ROPE = 64;
  private static final int HEAD = 128;
  private static final int MAX_HEADS = 128;

  private static final double LOG2_E = 1 / Math.log(2);

  private final Execution run;
  private final PagedStep pages;
  private final AbsorbedAttention absorbed;
  private final NaiveAttention naive;

  PagedAttention(Execution run, Kernels kernels, PagedStep pages) {
    this.run = run;
    this.pages = pages;
    QueryPreparation preparation = new QueryPreparation(run, kernels, pages);
    absorbed = new AbsorbedAttention(run, kernels, pages, preparation);
    naive = new NaiveAttention(run, kernels, pages, preparation);
  }

  /** Why the kernels do not take {@code attention}; empty if they do. */
  static Optional<String> refusal(Attention attention) {
    boolean fits =
        attention.latentDim() == LATENT
            && attention.ropeDim() == ROPE
            && attention.nopeDim() == HEAD
            && attention.valueDim() == HEAD
            && attention.heads() <= MAX_HEADS;
    return fits
        ? Optional.empty()
        : Optional.of(
            "its attention has kv_lora_rank %d, qk_rope_head_dim %d, qk_nope_head_dim %d, v_head_dim"
                    .formatted(attention.latentDim(), attention.ropeDim(), attention.nopeDim())
                + " %d and %d heads; they are for %d, %d, %d, %d and up to %d"
                    .formatted(
                        attention.valueDim(),
                        attention.heads(),
                        LATENT,
                        ROPE,
                        HEAD,
                        HEAD,
                        MAX_HEADS));
  }

  /** Scratch for steps of up to {@code capacity} tokens. */
  static long scratchBytes(Attention attention, int capacity) {
    return Math.max(
        AbsorbedAttention.scratchBytes(attention.heads(), capacity),
        NaiveAttention.scratchBytes(attention.heads(), capacity));
  }

  /** What an operation works on. */
  record Call(
      PanelTensor out,
      PanelTensor q,
      long cache,
      LatentTiles weight,
      long rotations,
      int heads,
      float scale,
      PagedLayout layout) {
    /** Where {@code out} begins from a row on that is a multiple of 8. */
    long outValues(int row) {
      return out.memory().address() + (long) row * Tiles.ROW_BYTES;
    }

    long outScales(int row) {
      return out.scales().address() + (long) row * Float.BYTES;
    }
  }

  /** {@code out[t]}, an FP8 operand, for the rows that the step launches; {@code q} in bf16. */
  void run(
      PanelTensor out,
      PanelTensor q,
      PageCache cache,
      int layer,
      LatentTiles weight,
      Rope rope,
      Attention attention,
      Step step) {
    PagedLayout layout = pages.prepare(step, run.rows(step));
    Call call =
        new Call(
            out,
            q,
            cache.address(layer),
            weight,
            run.rotations(rope, step),
            attention.heads(),
            (float) (attention.softmaxScale() * LOG2_E),
            layout);
    for (AbsorbedRanges.Range range : layout.ranges()) {
      absorbed.run(call, range);
    }
    for (NaivePasses.Pass pass : layout.passes()) {
      naive.run(call, pass);
    }
  }
}
