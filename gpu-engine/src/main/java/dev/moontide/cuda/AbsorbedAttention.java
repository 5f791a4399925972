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

/**
 * The absorbed form of attention for a range of rows ({@code hopper/attention.cu}): queries into
 * the latent space, attention over pages, sums into values.
 */
final class AbsorbedAttention {
  private static final int THREADS = 256;
  private static final int MATH_THREADS = 384;
  private static final int PLAN_THREADS = 1024;
  private static final int ATTEND_SHARED = 223_440;
  private static final int ABSORB_SHARED = 197_696;
  private static final int VALUE_UP_SHARED = 197_728;
  private static final int COPY_ROWS = 8;
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

  private final Execution run;
  private final PagedStep pages;
  private final QueryPreparation preparation;
  private final Kernel absorb;
  private final Kernel plan;
  private final Kernel attend;
  private final Kernel merge;
  private final Kernel valueUp;
  private final Kernel copy;
  private final int blocks;

  AbsorbedAttention(Execution run, Kernels kernels, PagedStep pages, QueryPreparation preparation) {
    this.run = run;
    this.pages = pages;
    this.preparation = preparation;
    absorb = kernels.kernel("query_absorb", MATH_THREADS, ABSORB_SHARED);
    plan = kernels.kernel("attend_plan", PLAN_THREADS);
    attend = kernels.kernel("attend", MATH_THREADS, ATTEND_SHARED);
    merge = kernels.kernel("attend_merge", THREADS);
    valueUp = kernels.kernel("value_up", MATH_THREADS, VALUE_UP_SHARED);
    copy = kernels.kernel("copy_entries", THREADS);
    blocks = run.device.multiprocessors();
  }

  private static int images(int heads) {
    return Tiles.ceil(heads, IMAGE_HEADS);
  }

  /** Whether a range's pieces become items of their own; bits do not depend on it. */
  static boolean isPlanned(AbsorbedRanges.Range range) {
    return range.rows() < MANY_ROWS && range.longest() > 1 && range.pieces() <= MAX_ITEMS;
  }

  /** Scratch for steps of up to {@code capacity} tokens. */
  static long scratchBytes(int heads, int capacity) {
    int rows = Math.min(capacity, AbsorbedRanges.ROWS);
    return Arena.rounded(Tiles.panelBytes(rows, 2L * heads))
        + Arena.rounded(Tiles.panelRows(rows) * images(heads) * Tiles.PAGE_BYTES)
        + Arena.rounded(Tiles.panelBytes(rows, 8L * heads))
        + Arena.rounded((long) MAX_ITEMS * images(heads) * PARTIAL_BYTES)
        + Arena.rounded(MAX_BLOCKS * PARTIAL_BYTES)
        + Arena.rounded((long) MAX_ITEMS * ITEM_BYTES)
        + Arena.rounded(Integer.BYTES)
        + Arena.rounded((long) MANY_ROWS * Integer.BYTES);
  }

  /** {@code out[t]} of the range's rows. */
  void run(PagedAttention.Call call, AbsorbedRanges.Range range) {
    int heads = call.heads();
    int rows = range.rows();
    int capacity = (int) Tiles.panelRows(Math.min(call.q().capacity(), AbsorbedRanges.ROWS));
    run.scratch.begin(scratchBytes(heads, capacity));
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
    preparation.run(
        call,
        new QueryPreparation.Rows(range.first(), range.numbers(), rows, range.position()),
        nope,
        capacity,
        images);
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
    boolean isGathered = range.numbers().isPresent();
    int firstOut = isGathered ? 0 : range.first();
    run.launcher
        .parameters(valueUp)
        .pointer(latents)
        .integer(capacity)
        .integer(rows)
        .pointer(call.weight().up())
        .integer(heads)
        .pointer(call.outValues(firstOut))
        .pointer(call.outScales(firstOut))
        .integer(call.out().capacity())
        .pointer(isGathered ? pages.address(range.numbers().getAsInt()) : 0)
        .grid(blocks, 1, 1);
  }

  private void attend(
      PagedAttention.Call call,
      AbsorbedRanges.Range range,
      long images,
      long latents,
      int capacity) {
    int heads = call.heads();
    int rows = range.rows();
    long length = pages.address(range.length());
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
        .pointer(pages.address(range.pageStart()))
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
}
