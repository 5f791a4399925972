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
import org.jspecify.annotations.Nullable;

/**
 * Multi-head latent attention in its absorbed form, for prefill and decode alike: queries into the
 * latent space, {@code attend} over splits of the cache, the splits combined, sums into values.
 * Long steps go by ranges of tokens.
 */
final class LatentAttention {
  private static final int THREADS = 256;
  private static final int HEADS = 8;
  private static final int ENTRIES = 32;

  /** Entries of a split. */
  static final int SPLIT = 1024;

  /** Splits of tokens that are in scratch at a time. */
  private static final int SLOTS = 512;

  private static final int MAX_LATENT = 4 * THREADS;

  private final Execution run;
  private final Products.Pair absorb;
  private final Products.Pair values;
  private final Kernel rotate;
  private final Kernel combine;
  private @Nullable Kernel attend;
  private @Nullable Attention shape;

  LatentAttention(Execution run) {
    this.run = run;
    absorb = Products.Pair.of(run.kernels, "absorb");
    values = Products.Pair.of(run.kernels, "values");
    rotate = run.kernels.kernel("rotate_queries", THREADS);
    combine = run.kernels.kernel("combine_splits", THREADS);
  }

  /** Tokens of a range, in a step of up to {@code capacity}. */
  private static int rangeTokens(int capacity) {
    return Math.min(capacity, SLOTS);
  }

  /** Scratch for steps of up to {@code capacity} tokens. */
  static long scratchBytes(Attention attention, int capacity) {
    long rows = (long) rangeTokens(capacity) * attention.heads();
    return Arena.rounded(rows * attention.cacheColumns() * Float.BYTES)
        + Arena.rounded((long) SLOTS * attention.heads() * attention.latentDim() * Float.BYTES)
        + Arena.rounded((long) SLOTS * attention.heads() * 2 * Float.BYTES)
        + Arena.rounded(rows * attention.latentDim() * Float.BYTES);
  }

  void run(
      CudaTensor out,
      CudaTensor q,
      CudaCache cache,
      int layer,
      CudaWeight kvB,
      Rope rope,
      Attention attention,
      Step step) {
    long layout = run.step(step);
    long rotations = run.rotations(rope, step);
    int splits = run.splits(SPLIT);
    if (splits > SLOTS) {
      throw MoontideException.engine(
          "attention over %,d cache entries: the CUDA backend takes at most %,d",
          run.maxVisible(), (long) SLOTS * SPLIT);
    }
    int tokens = rangeTokens(q.capacity());
    long rows = (long) tokens * attention.heads();
    run.scratch.begin(scratchBytes(attention, q.capacity()));
    long queries = run.scratch.take(rows * attention.cacheColumns() * Float.BYTES);
    long sums =
        run.scratch.take((long) SLOTS * attention.heads() * attention.latentDim() * Float.BYTES);
    long extremes = run.scratch.take((long) SLOTS * attention.heads() * 2 * Float.BYTES);
    long latents = run.scratch.take(rows * attention.latentDim() * Float.BYTES);
    int range = Math.min(tokens, SLOTS / splits);
    Kernel kernel = attend(attention);
    int all = run.rows(step);
    for (int first = 0; first < all; first += range) {
      int n = Math.min(range, all - first);
      absorb(queries, q, first, kvB, attention, n);
      run.launcher
          .of(rotate)
          .pointer(queries)
          .pointer(q.memory())
          .pointer(rotations)
          .pointer(layout)
          .integer(first)
          .integer(attention.heads())
          .integer(attention.nopeDim())
          .integer(attention.ropeDim())
          .integer(attention.latentDim())
          .grid(n, 1, 1);
      run.launcher
          .of(kernel)
          .pointer(sums)
          .pointer(extremes)
          .pointer(queries)
          .pointer(cache.address(layer))
          .pointer(layout)
          .integer(first)
          .integer(splits)
          .integer(attention.heads())
          .integer(attention.latentDim())
          .integer(attention.ropeDim())
          .integer(cache.blockSize())
          .real(attention.softmaxScale())
          .grid(n, Products.tiles(attention.heads(), HEADS), splits);
      run.launcher
          .of(combine)
          .pointer(latents)
          .pointer(sums)
          .pointer(extremes)
          .pointer(layout)
          .integer(first)
          .integer(splits)
          .integer(attention.heads())
          .integer(attention.latentDim())
          .grid(n, attention.heads(), 1);
      values(out, first, latents, kvB, attention, n);
    }
  }

  private Kernel attend(Attention attention) {
    Kernel kernel = attend;
    if (kernel == null || !attention.equals(shape)) {
      if (attention.latentDim() > MAX_LATENT) {
        throw MoontideException.configuration(
            "kv_lora_rank is %d, and the CUDA backend takes at most %d: use --backend cpu",
            attention.latentDim(), MAX_LATENT);
      }
      int width = attention.cacheColumns();
      int bytes = HEADS * width * Float.BYTES + ENTRIES * (width + 2) * Short.BYTES;
      kernel = run.kernels.kernel("attend", THREADS, bytes);
      attend = kernel;
      shape = attention;
    }
    return kernel;
  }

  /** {@code queries[t, h, :latent] = nopeᵀ · W_uk}, a head a batch. */
  private void absorb(
      long queries, CudaTensor q, int first, CudaWeight kvB, Attention attention, int n) {
    int latent = attention.latentDim();
    int tile = Products.tileRows(n);
    run.launcher
        .of(absorb.choose(tile))
        .pointer(q.address(first))
        .pointer(0)
        .pointer(kvB.values())
        .pointer(0)
        .pointer(queries)
        .wide(q.columns())
        .wide(latent)
        .wide((long) attention.heads() * attention.cacheColumns())
        .wide(attention.nopeDim() + attention.ropeDim())
        .wide((long) (attention.nopeDim() + attention.valueDim()) * latent)
        .wide(attention.cacheColumns())
        .integer(n)
        .integer(latent)
        .integer(attention.nopeDim())
        .integer(0)
        .integer(0)
        .integer(0)
        .flag(false)
        .grid(
            Products.tiles(latent, Products.TILE_COLUMNS),
            Products.tiles(n, tile),
            attention.heads());
  }

  /** {@code out[t, h] = W_uv · latents[t, h]}, a head a batch. */
  private void values(
      CudaTensor out, int first, long latents, CudaWeight kvB, Attention attention, int n) {
    int latent = attention.latentDim();
    int value = attention.valueDim();
    int tile = Products.tileRows(n);
    run.launcher
        .of(values.choose(tile))
        .pointer(latents)
        .pointer(0)
        .pointer(kvB.values().address() + (long) attention.nopeDim() * latent * Short.BYTES)
        .pointer(0)
        .pointer(out.address(first))
        .wide((long) attention.heads() * latent)
        .wide(latent)
        .wide(out.columns())
        .wide(latent)
        .wide((long) (attention.nopeDim() + value) * latent)
        .wide(value)
        .integer(n)
        .integer(value)
        .integer(latent)
        .integer(0)
        .integer(0)
        .integer(0)
        .flag(false)
        .grid(
            Products.tiles(value, Products.TILE_COLUMNS),
            Products.tiles(n, tile),
            attention.heads());
  }
}
