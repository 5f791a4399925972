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

import dev.moontide.api.MoontideException;
import dev.moontide.tensor.Attention;
import dev.moontide.tensor.Rope;
import dev.moontide.tensor.Step;
import java.util.Optional;

/**
 * Multi-head latent attention over pages ({@code hopper/attention.cu}, {@code
 * attention_prompt.cu}): the absorbed form for ranges of rows, then the naive one for rows of
 * prompts that take it, as {@link PagedLayout} says.
 */
final class PagedAttention {
  private static final int THREADS = 256;
  private static final int MATH_THREADS = 384;
  private static final int PLAN_THREADS = 1024;
  private static final int ATTEND_SHARED = 223_440;
  private static final int PROMPT_SHARED = 214_080;
  private static final int BF16_SHARED = 197_696;
  private static final int VALUE_UP_SHARED = 197_728;
  private static final int COPY_ROWS = 8;

  /** What the kernels are made for. */
  private static final int LATENT = 512;

  private static final int ROPE = 64;
  private static final int HEAD = 128;
  private static final int MAX_HEADS = 128;
  private static final int IMAGE_HEADS = 64;

  /** Bytes of an item's partial sums, and of what a block of {@code attend} works in. */
  private static final long PARTIAL_BYTES = 33_792L * Float.BYTES;

  private static final int ITEM_BYTES = 8;

  /** Blocks of {@code attend}: at most, of any device, so that memory is planned without one. */
  private static final int MAX_BLOCKS = 160;

  /** Rows from which one item a row keeps the device busy. */
  private static final int MANY_ROWS = 264;

  /** Pieces of a range that there is room for as items of their own. */
  private static final int MAX_ITEMS = 1024;

  private static final double LOG2_E = 1 / Math.log(2);

  private final Execution run;
  private final PagedStep pages;
  private final Kernel prepare;
  private final Kernel absorb;
  private final Kernel plan;
  private final Kernel attend;
  private final Kernel merge;
  private final Kernel valueUp;
  private final Kernel expand;
  private final Kernel attendPrompt;
  private final Kernel copy;
  private final int blocks;

  PagedAttention(Execution run, Kernels kernels, PagedStep pages) {
    this.run = run;
    this.pages = pages;
    prepare = kernels.kernel("prepare_queries", THREADS);
    absorb = kernels.kernel("query_absorb", MATH_THREADS, BF16_SHARED);
    plan = kernels.kernel("attend_plan", PLAN_THREADS);
    attend = kernels.kernel("attend", MATH_THREADS, ATTEND_SHARED);
    merge = kernels.kernel("attend_merge", THREADS);
    valueUp = kernels.kernel("value_up", MATH_THREADS, VALUE_UP_SHARED);
    expand = kernels.kernel("expand_latent", MATH_THREADS, BF16_SHARED);
    attendPrompt = kernels.kernel("attend_prompt", MATH_THREADS, PROMPT_SHARED);
    copy = kernels.kernel("copy_entries", THREADS);
    blocks = run.device.multiprocessors();
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

  private static int images(int heads) {
    return Tiles.ceil(heads, IMAGE_HEADS);
  }

  /** Whether a range's pieces become items of their own; bits do not depend on it. */
  static boolean isPlanned(PagedLayout.Range range) {
    return range.rows() < MANY_ROWS && range.longest() > 1 && range.pieces() <= MAX_ITEMS;
  }

  // ---- scratch -------------------------------------------------------------------------------

  /** Scratch for steps of up to {@code capacity} tokens. */
  static long scratchBytes(Attention attention, int capacity) {
    return Math.max(absorbedBytes(attention.heads(), capacity), naiveBytes(attention, capacity));
  }

  private static long absorbedBytes(int heads, int capacity) {
    int rows = Math.min(capacity, PagedLayout.RANGE_ROWS);
    return Arena.rounded(Tiles.panelBytes(rows, 2L * heads))
        + Arena.rounded(Tiles.panelRows(rows) * images(heads) * Tiles.PAGE_BYTES)
        + Arena.rounded(Tiles.panelBytes(rows, 8L * heads))
        + Arena.rounded((long) MAX_ITEMS * images(heads) * PARTIAL_BYTES)
        + Arena.rounded(MAX_BLOCKS * PARTIAL_BYTES)
        + Arena.rounded((long) MAX_ITEMS * ITEM_BYTES)
        + Arena.rounded(Integer.BYTES)
        + Arena.rounded((long) MANY_ROWS * Integer.BYTES);
  }

  private static long naiveBytes(Attention attention, int capacity) {
    return Arena.rounded(queryBytes(attention.heads(), capacity))
        + Arena.rounded(expandedBytes(attention.heads(), PagedLayout.PASS_PAGES));
  }

  private static long queryBytes(int heads, int capacity) {
    return Tiles.panelBytes(Math.min(capacity, PagedLayout.PART_ROWS), 3L * heads);
  }

  private static long expandedBytes(int heads, int pageCount) {
    return Tiles.panelBytes((long) pageCount * Tiles.PAGE_TOKENS, 4L * heads);
  }

  /** Where the operation at hand works. */
  private record Call(
      PanelTensor out,
      PanelTensor q,
      long cache,
      LatentTiles weight,
      long rotations,
      int heads,
      float scale,
      PagedLayout layout) {}

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
    for (PagedLayout.Range range : layout.ranges()) {
      absorbed(call, range);
    }
    for (PagedLayout.Pass pass : layout.passes()) {
      naive(call, pass, q.capacity());
    }
  }

  // ---- the absorbed form ---------------------------------------------------------------------

  private void absorbed(Call call, PagedLayout.Range range) {
    int heads = call.heads();
    int rows = range.rows();
    int capacity = (int) Tiles.panelRows(Math.min(call.q().capacity(), PagedLayout.RANGE_ROWS));
    run.scratch.begin(absorbedBytes(heads, capacity));
    long nope = run.scratch.take(Tiles.panelBytes(capacity, 2L * heads));
    long images = run.scratch.take((long) capacity * images(heads) * Tiles.PAGE_BYTES);
    long latents = run.scratch.take(Tiles.panelBytes(capacity, 8L * heads));
    if (range.copies() > 0) {
      run.launcher
          .parameters(copy)
          .pointer(call.cache())
          .pointer(pages.address(range.copyFrom()))
          .pointer(pages.address(range.copyTo()))
          .integer(range.copies())
          .grid(Tiles.ceil(range.copies(), COPY_ROWS), 1, 1);
    }
    prepare(call, range.first(), rows, nope, capacity, images);
    run.launcher
        .parameters(absorb)
        .pointer(nope)
        .integer(capacity)
        .integer(rows)
        .pointer(call.weight().absorbed())
        .integer(heads)
        .pointer(images)
        .grid(blocks, 1, 1);
    attend(call, range, images, latents, capacity);
    run.launcher
        .parameters(valueUp)
        .pointer(latents)
        .integer(capacity)
        .integer(rows)
        .pointer(call.weight().up())
        .integer(heads)
        .pointer(outValues(call, range.first()))
        .pointer(outScales(call, range.first()))
        .integer(call.out().capacity())
        .grid(blocks, 1, 1);
  }

  /** {@code images} 0: for the naive form. */
  private void prepare(Call call, int first, int rows, long panel, int capacity, long images) {
    run.launcher
        .parameters(prepare)
        .pointer(call.q().memory().address() + (long) first * call.q().stride() * Short.BYTES)
        .integer(call.q().stride())
        .pointer(call.rotations())
        .pointer(pages.address(call.layout().position() + first))
        .integer(call.heads())
        .pointer(panel)
        .integer(capacity)
        .pointer(images)
        .grid(rows, 1, 1);
  }

  private void attend(Call call, PagedLayout.Range range, long images, long latents, int capacity) {
    int heads = call.heads();
    int rows = range.rows();
    long length = pages.address(call.layout().absorbedLength() + range.first());
    long partial = run.scratch.take((long) MAX_ITEMS * images(heads) * PARTIAL_BYTES);
    long own = run.scratch.take(MAX_BLOCKS * PARTIAL_BYTES);
    long items = run.scratch.take((long) MAX_ITEMS * ITEM_BYTES);
    long itemCount = run.scratch.take(Integer.BYTES);
    long firstItem = run.scratch.take((long) MANY_ROWS * Integer.BYTES);
    boolean isPlanned = isPlanned(range);
    if (isPlanned) {
      run.launcher
          .parameters(plan)
          .pointer(length)
          .integer(rows)
          .pointer(items)
          .pointer(itemCount)
          .pointer(firstItem)
          .grid(1, 1, 1);
    }
    run.launcher
        .parameters(attend)
        .pointer(images)
        .pointer(call.cache())
        .pointer(pages.address(call.layout().pages()))
        .pointer(pages.address(call.layout().pageStart() + range.first()))
        .pointer(length)
        .integer(rows)
        .integer(heads)
        .real(call.scale())
        .pointer(isPlanned ? items : 0)
        .pointer(isPlanned ? itemCount : 0)
        .pointer(isPlanned ? partial : 0)
        .pointer(own)
        .pointer(latents)
        .integer(capacity)
        .grid(Math.min(blocks, MAX_BLOCKS), 1, 1);
    if (isPlanned) {
      run.launcher
          .parameters(merge)
          .pointer(length)
          .pointer(firstItem)
          .integer(rows)
          .integer(heads)
          .pointer(partial)
          .pointer(latents)
          .integer(capacity)
          .grid(rows, images(heads), 1);
    }
  }

  private static long outValues(Call call, int row) {
    return call.out().memory().address() + (long) row * Tiles.ROW_BYTES;
  }

  private static long outScales(Call call, int row) {
    return call.out().scales().address() + (long) row * Float.BYTES;
  }

  // ---- the naive form ------------------------------------------------------------------------

  private void naive(Call call, PagedLayout.Pass pass, int capacity) {
    int heads = call.heads();
    long budget = expandedBytes(heads, PagedLayout.PASS_PAGES);
    int atOnce = (int) Math.min(heads, budget / expandedBytes(1, pass.pageCount()));
    if (atOnce == 0) {
      throw MoontideException.engine(
          "a prompt of %,d tokens: the Hopper kernels take at most %,d",
          pass.pageCount() * (long) Tiles.PAGE_TOKENS,
          (long) heads * PagedLayout.PASS_PAGES * Tiles.PAGE_TOKENS);
    }
    run.scratch.begin(Arena.rounded(queryBytes(heads, capacity)) + Arena.rounded(budget));
    long queries = run.scratch.take(queryBytes(heads, capacity));
    long expanded = run.scratch.take(budget);
    int keyRows = pass.pageCount() * Tiles.PAGE_TOKENS;
    for (int head = 0; head < heads; head += atOnce) {
      int count = Math.min(atOnce, heads - head);
      run.launcher
          .parameters(expand)
          .pointer(call.cache())
          .pointer(pages.address(pass.pages()))
          .integer(pass.pageCount())
          .pointer(call.weight().up().address() + (long) head * 16 * Tiles.BYTES)
          .integer(count)
          .pointer(expanded)
          .integer(keyRows)
          .grid(blocks, 1, 1);
      for (PagedLayout.Part part : pass.parts()) {
        int rows = (int) Tiles.panelRows(part.rows());
        prepare(call, part.first(), part.rows(), queries, rows, 0);
        long outRow = (long) head * call.out().capacity();
        run.launcher
            .parameters(attendPrompt)
            .pointer(queries + (long) head * 3 * rows * Tiles.ROW_BYTES)
            .integer(rows)
            .pointer(call.cache())
            .pointer(pages.address(call.layout().pages()))
            .pointer(expanded)
            .integer(keyRows)
            .pointer(pages.address(part.tiles()))
            .integer(part.tileCount())
            .pointer(pages.address(call.layout().length() + part.first()))
            .integer(count)
            .real(call.scale())
            .pointer(outValues(call, part.first()) + outRow * Tiles.ROW_BYTES)
            .pointer(outScales(call, part.first()) + outRow * Float.BYTES)
            .integer(call.out().capacity())
            .grid(blocks, 1, 1);
      }
    }
  }
}
