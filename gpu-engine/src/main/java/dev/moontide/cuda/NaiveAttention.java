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
import java.util.OptionalInt;

/**
 * The naive form of attention for a pass ({@code hopper/attention_prompt.cu}): keys and values
 * expanded from the latents, as many heads at once as there is room for.
 */
final class NaiveAttention {
  private static final int THREADS = 384;
  private static final int EXPAND_SHARED = 197_696;
  private static final int ATTEND_SHARED = 214_112;

  /** Tiles of {@code kv_b_proj} for a head. */
  private static final int HEAD_TILES = 16;

  private final Execution run;
  private final PagedStep pages;
  private final QueryPreparation preparation;
  private final Kernel expand;
  private final Kernel attend;
  private final int blocks;

  NaiveAttention(Execution run, Kernels kernels, PagedStep pages, QueryPreparation preparation) {
    this.run = run;
    this.pages = pages;
    this.preparation = preparation;
    expand = kernels.kernel("expand_latent", THREADS, EXPAND_SHARED);
    attend = kernels.kernel("attend_prompt", THREADS, ATTEND_SHARED);
    blocks = run.device.multiprocessors();
  }

  /** Scratch for steps of up to {@code capacity} tokens. */
  static long scratchBytes(int heads, int capacity) {
    return Arena.rounded(queryBytes(heads, capacity))
        + Arena.rounded(expandedBytes(heads, NaivePasses.PAGES));
  }

  private static long queryBytes(int heads, int capacity) {
    return Tiles.panelBytes(Math.min(capacity, NaivePasses.PART_ROWS), 3L * heads);
  }

  private static long expandedBytes(int heads, int pageCount) {
    return Tiles.panelBytes((long) pageCount * Tiles.PAGE_TOKENS, 4L * heads);
  }

  /** {@code out[t]} of the pass's rows. */
  void run(PagedAttention.Call call, NaivePasses.Pass pass) {
    int capacity = call.q().capacity();
    int heads = call.heads();
    long budget = expandedBytes(heads, NaivePasses.PAGES);
    int atOnce = (int) Math.min(heads, budget / expandedBytes(1, pass.pageCount()));
    if (atOnce == 0) {
      throw MoontideException.engine(
          "a prompt of %,d tokens: the Hopper kernels take at most %,d",
          pass.pageCount() * (long) Tiles.PAGE_TOKENS,
          (long) heads * NaivePasses.PAGES * Tiles.PAGE_TOKENS);
    }
    run.scratch.begin(scratchBytes(heads, capacity));
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
          .pointer(call.weight().up().address() + (long) head * HEAD_TILES * Tiles.BYTES)
          .integer(count)
          .pointer(expanded)
          .integer(keyRows)
          .grid(blocks, 1, 1);
      for (NaivePasses.Part part : pass.parts()) {
        int rows = (int) Tiles.panelRows(part.rows());
        int position = call.layout().position() + part.first();
        preparation.run(
            call,
            new QueryPreparation.Rows(part.first(), OptionalInt.empty(), part.rows(), position),
            queries,
            rows,
            0);
        long outRow = (long) head * call.out().capacity();
        run.launcher
            .parameters(attend)
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
            .pointer(call.outValues(part.first()) + outRow * Tiles.ROW_BYTES)
            .pointer(call.outScales(part.first()) + outRow * Float.BYTES)
            .integer(call.out().capacity())
            .grid(blocks, 1, 1);
      }
    }
  }
}
