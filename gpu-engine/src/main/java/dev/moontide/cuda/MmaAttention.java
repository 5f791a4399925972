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
import java.util.ArrayList;
import java.util.List;

/**
 * Multi-head latent attention in its absorbed form on tensor cores ({@code mma/attention.cu}), for
 * prefill and decode alike: queries into the latent space, attention over splits of the cache, the
 * splits of long rows combined, sums into values. Long steps go by ranges of tokens.
 */
final class MmaAttention {
  /** Entries of a split. */
  static final int SPLIT = 512;

  /** Splits of tokens that are in scratch at a time. */
  static final int SLOTS = 512;

  private static final int THREADS = 256;

  /** Four warps to 16 heads. */
  private static final int THREADS_OF_HEAD = 8;

  private static final int LATENT = 512;
  private static final int ROPE = 64;
  private static final int WIDTH = LATENT + ROPE;

  private static final int FEWEST_HEADS = 16;
  private static final int MOST_HEADS = 64;

  /** Blocks for each multiprocessor that keep the device busy. */
  private static final double BUSY = 0.9;

  /** Cache entries of a tile. */
  private static final int ENTRIES = 32;

  private final Execution run;
  private final MmaKernels products;
  private final Kernel prepare;
  private final List<Kernel> attend = new ArrayList<>();
  private final Kernel combine;

  MmaAttention(Execution run, Kernels kernels, MmaKernels products) {
    this.run = run;
    this.products = products;
    prepare = kernels.kernel("mma_prepare_queries", THREADS);
    combine = kernels.kernel("mma_combine_splits", THREADS);
    for (int heads = FEWEST_HEADS; heads <= MOST_HEADS; heads *= 2) {
      if (sharedBytes(heads) <= run.device.maxSharedBytes()) {
        attend.add(
            kernels.kernel("mma_attend_" + heads, THREADS_OF_HEAD * heads, sharedBytes(heads)));
      }
    }
  }

  /** Whether the kernels take {@code attention}; else {@link LatentAttention} does. */
  static boolean suits(Attention attention) {
    return attention.latentDim() == LATENT && attention.ropeDim() == ROPE;
  }

  /** The queries of a block's heads, two parts of their scores, and two tiles of entries. */
  private static int sharedBytes(int heads) {
    return heads * WIDTH * Short.BYTES
        + 2 * heads * ENTRIES * Float.BYTES
        + 2 * ENTRIES * WIDTH * Short.BYTES;
  }

  private static int headsOf(Kernel kernel) {
    return kernel.threads() / THREADS_OF_HEAD;
  }

  /**
   * The kernel with the most heads a block of which there are blocks enough to keep the device
   * busy; a row's bits do not depend on it.
   */
  private Kernel attend(int heads, int rows) {
    Kernel chosen = attend.get(0);
    for (Kernel kernel : attend.subList(1, attend.size())) {
      boolean isFilled = 2 * heads > headsOf(kernel);
      int blocks = rows * Products.tiles(heads, headsOf(kernel));
      if (isFilled && blocks >= run.device.multiprocessors() * BUSY) {
        chosen = kernel;
      }
    }
    return chosen;
  }

  private static int rangeTokens(int capacity) {
    return Math.min(capacity, SLOTS);
  }

  private static long rowBytes(Attention attention, int columns, int capacity) {
    return (long) rangeTokens(capacity) * attention.heads() * columns * Short.BYTES;
  }

  private static long sumBytes(Attention attention) {
    return (long) SLOTS * attention.heads() * LATENT * Float.BYTES;
  }

  private static long extremeBytes(Attention attention) {
    return (long) SLOTS * attention.heads() * 2 * Float.BYTES;
  }

  /** Scratch for steps of up to {@code capacity} tokens. */
  static long scratchBytes(Attention attention, int capacity) {
    return Arena.rounded(rowBytes(attention, attention.nopeDim(), capacity))
        + Arena.rounded(rowBytes(attention, WIDTH, capacity))
        + Arena.rounded(rowBytes(attention, LATENT, capacity))
        + Arena.rounded(sumBytes(attention))
        + Arena.rounded(extremeBytes(attention));
  }

  /** Where a range's intermediate rows are. */
  private record Space(long unrotated, long queries, long latents, long sums, long extremes) {}

  private Space take(Attention attention, int capacity) {
    run.scratch.begin(scratchBytes(attention, capacity));
    return new Space(
        run.scratch.take(rowBytes(attention, attention.nopeDim(), capacity)),
        run.scratch.take(rowBytes(attention, WIDTH, capacity)),
        run.scratch.take(rowBytes(attention, LATENT, capacity)),
        run.scratch.take(sumBytes(attention)),
        run.scratch.take(extremeBytes(attention)));
  }

  /** {@code out[t]} of bf16 from {@code q[t]} of float32, not yet rotated. */
  void run(
      CudaTensor out,
      CudaTensor q,
      CudaCache cache,
      int layer,
      LatentHeads kvB,
      Rope rope,
      Attention attention,
      Step step) {
    int splits = run.splits(SPLIT);
    if (splits > SLOTS) {
      throw MoontideException.engine(
          "attention over %,d cache entries: the CUDA backend takes at most %,d",
          run.maxVisible(), (long) SLOTS * SPLIT);
    }
    long layout = run.step(step);
    long rotations = run.rotations(rope, step);
    Space space = take(attention, q.capacity());
    int all = run.rows(step);
    int range = rangeTokens(q.capacity());
    for (int first = 0; first < all; first += range) {
      int n = Math.min(range, all - first);
      run.launcher
          .of(prepare)
          .pointer(space.unrotated())
          .pointer(space.queries())
          .pointer(q.address(first))
          .pointer(rotations)
          .pointer(layout)
          .integer(first)
          .integer(attention.heads())
          .integer(attention.nopeDim())
          .grid(n, 1, 1);
      absorb(space, kvB, attention, n);
      int most = SLOTS / splits;
      for (int from = 0; from < n; from += most) {
        Part part = new Part(first, from, Math.min(most, n - from), splits);
        attend(space, part, cache, cache.address(layer), layout, attention);
      }
      values(out.address(first), space, kvB, attention, n);
    }
  }

  /** {@code queries[t, h, :latent] = nopeᵀ · W_uk}, a head a batch. */
  private void absorb(Space space, LatentHeads kvB, Attention attention, int n) {
    int nope = attention.nopeDim();
    products.runBatch(
        new MmaKernels.Batch(
            space.unrotated(), nope, kvB.absorbed().address(), space.queries(), WIDTH),
        attention.heads(),
        LATENT,
        n);
  }

  /** {@code out[t, h] = W_uv · latents[t, h]}, a head a batch. */
  private void values(long out, Space space, LatentHeads kvB, Attention attention, int n) {
    products.runBatch(
        new MmaKernels.Batch(
            space.latents(), LATENT, kvB.up().address(), out, attention.valueDim()),
        attention.heads(),
        attention.valueDim(),
        n);
  }

  /** Tokens of a range, as many as there is room for splits of. */
  private record Part(int first, int from, int tokens, int splits) {}

  private void attend(
      Space space, Part part, CudaCache cache, long entries, long layout, Attention attention) {
    Kernel kernel = attend(attention.heads(), part.tokens() * part.splits());
    launch(kernel, space, part, cache, entries, layout, attention)
        .grid(part.tokens(), Products.tiles(attention.heads(), headsOf(kernel)), part.splits());
    if (part.splits() > 1) {
      launch(combine, space, part, cache, entries, layout, attention)
          .grid(part.tokens(), attention.heads(), 1);
    }
  }

  private Launcher launch(
      Kernel kernel,
      Space space,
      Part part,
      CudaCache cache,
      long entries,
      long layout,
      Attention attention) {
    long rows = (long) part.from() * attention.heads();
    return run.launcher
        .of(kernel)
        .pointer(space.latents() + rows * LATENT * Short.BYTES)
        .pointer(space.sums())
        .pointer(space.extremes())
        .pointer(space.queries() + rows * WIDTH * Short.BYTES)
        .pointer(entries)
        .pointer(layout)
        .integer(part.first() + part.from())
        .integer(part.splits())
        .integer(attention.heads())
        .integer(cache.blockSize())
        .real(attention.softmaxScale());
  }
}
