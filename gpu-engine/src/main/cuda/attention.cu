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
// Multi-head latent attention in its absorbed form over the paged cache (DeepSeek-V2, arXiv
// 2405.04434): softmax over a token's visible entries and the weighted sum of their latents.
//
// Entry i a token sees is cache entry i of its sequence below the prefix length, then its ancestors.
// The softmax runs online over tiles of 32 entries, in splits of 1,024 that begin at multiples of
// 1,024, all counted in that order; the splits are combined in theirs. So a row's bits are a function
// of its own entries alone.
#include "step.cuh"

static const int THREADS = 256;
static const int HEADS = THREADS / WARP;  // a warp scores for one head
static const int ENTRIES = WARP;          // a lane for one entry
static const int SPLIT = 1024;
// Columns of the latent a thread sums at most: latents of at most 4 * THREADS.
static const int COLUMNS = 4;

struct RotateArgs {
  float* queries;          // [tokens, heads, latent + rope]: the part beyond the latent is written
  const float* q;          // [tokens, heads, nope + rope], the first of them token `first`
  const float* rotations;  // [positions, rope]
  const int* step;
  int first;
  int heads;
  int nope;
  int rope;
  int latent;
};

// Rotates the rope slices of the queries. Grid (tokens).
KERNEL(rotate_queries, RotateArgs, THREADS) {
  StepLayout step{args.step};
  int t = args.first + block_x();
  if (t >= step.tokens()) {
    return;
  }
  const float* turn = args.rotations + (int64_t)step.position(t) * args.rope;
  int half = args.rope / 2;
  for (int i = thread_index(); i < args.heads * half; i += THREADS) {
    int head = i / half;
    int pair = 2 * (i % half);
    const float* x =
        args.q + ((int64_t)t * args.heads + head) * (args.nope + args.rope) + args.nope + pair;
    float* to = args.queries +
                ((int64_t)block_x() * args.heads + head) * (args.latent + args.rope) + args.latent +
                pair;
    to[0] = product(x[0], turn[pair]) - product(x[1], turn[pair + 1]);
    to[1] = product(x[0], turn[pair + 1]) + product(x[1], turn[pair]);
  }
}

struct AttendArgs {
  float* sums;            // [tokens * heads * splits, latent], not normalised
  float* extremes;        // largest score and total of weights [tokens * heads * splits, 2]
  const float* queries;   // [tokens, heads, latent + rope]
  const uint16_t* cache;  // bf16 [blocks, block_size, latent + rope] of one layer
  const int* step;
  int first;   // token of the queries' first row
  int splits;  // room for each row's splits
  int heads;
  int latent;
  int rope;
  int block_size;
  float scale;
};

DEVICE int64_t cache_row(const StepLayout& step, int t, int i, int block_size) {
  int prefix = step.prefix_length(t);
  int entry = i < prefix ? i : step.ancestor(step.ancestor_start(t) + i - prefix);
  return (int64_t)step.block_table(t)[entry / block_size] * block_size + entry % block_size;
}

// Grid (tokens, groups of heads, splits). Dynamic shared memory: the queries in float, then a tile
// of entries, whose rows are padded by two numbers so that a warp's lanes meet no two in one bank.
KERNEL(attend, AttendArgs, THREADS) {
  SHARED float weights[HEADS][ENTRIES];
  SHARED float rescale[HEADS];
  StepLayout step{args.step};
  int t = args.first + block_x();
  int begin = block_z() * SPLIT;
  if (t >= step.tokens() || begin >= step.visible(t)) {
    return;
  }
  int end = smaller(step.visible(t), begin + SPLIT);
  int width = args.latent + args.rope;
  int row = width + 2;
  float* queries = (float*)dynamic_shared();
  uint16_t* entries = (uint16_t*)(queries + HEADS * width);
  int first_head = block_y() * HEADS;
  int heads = smaller(HEADS, args.heads - first_head);
  int warp = thread_index() / WARP;
  int lane = thread_index() % WARP;

  const float* from = args.queries + ((int64_t)block_x() * args.heads + first_head) * width;
  for (int i = thread_index(); i < heads * width; i += THREADS) {
    queries[i] = from[i];
  }
  float sums[HEADS][COLUMNS];
#pragma unroll
  for (int h = 0; h < HEADS; h++) {
#pragma unroll
    for (int c = 0; c < COLUMNS; c++) {
      sums[h][c] = 0.0f;
    }
  }
  float largest = -infinity();
  float total = 0.0f;

  for (int tile = begin; tile < end; tile += ENTRIES) {
    int count = smaller(ENTRIES, end - tile);
    sync_block();
    for (int e = warp; e < count; e += THREADS / WARP) {
      const uint16_t* entry = args.cache + cache_row(step, t, tile + e, args.block_size) * width;
      for (int i = lane; i < width; i += WARP) {
        entries[e * row + i] = entry[i];
      }
    }
    sync_block();
    if (warp < heads) {
      float score = -infinity();
      if (lane < count) {
        float dot = 0.0f;
        for (int i = 0; i < width; i++) {
          dot = fused(queries[warp * width + i], from_bf16(entries[lane * row + i]), dot);
        }
        score = product(dot, args.scale);
      }
      float most = fmaxf(largest, warp_max(score));
      float weight = lane < count ? exponential(score - most) : 0.0f;
      float shrink = largest == most ? 1.0f : exponential(largest - most);
      total = fused(total, shrink, warp_sum(weight));
      largest = most;
      weights[warp][lane] = weight;
      if (lane == 0) {
        rescale[warp] = shrink;
      }
    }
    sync_block();
#pragma unroll
    for (int c = 0; c < COLUMNS; c++) {
      int column = thread_index() + c * THREADS;
      if (column < args.latent) {
#pragma unroll
        for (int h = 0; h < HEADS; h++) {
          if (h < heads) {
            sums[h][c] = product(sums[h][c], rescale[h]);
          }
        }
        for (int e = 0; e < count; e++) {
          float value = from_bf16(entries[e * row + column]);
#pragma unroll
          for (int h = 0; h < HEADS; h++) {
            if (h < heads) {
              sums[h][c] = fused(weights[h][e], value, sums[h][c]);
            }
          }
        }
      }
    }
  }

  int64_t slot = ((int64_t)block_x() * args.heads + first_head) * args.splits + block_z();
#pragma unroll
  for (int h = 0; h < HEADS; h++) {
#pragma unroll
    for (int c = 0; c < COLUMNS; c++) {
      int column = thread_index() + c * THREADS;
      if (h < heads && column < args.latent) {
        args.sums[(slot + h * args.splits) * args.latent + column] = sums[h][c];
      }
    }
  }
  if (warp < heads && lane == 0) {
    args.extremes[2 * (slot + warp * args.splits)] = largest;
    args.extremes[2 * (slot + warp * args.splits) + 1] = total;
  }
}

struct CombineArgs {
  float* out;             // [tokens, heads, latent]
  const float* sums;      // as attend writes them
  const float* extremes;  // as attend writes them
  const int* step;
  int first;
  int splits;
  int heads;
  int latent;
};

// The splits of a row in order, normalised. Grid (tokens, heads).
KERNEL(combine_splits, CombineArgs, THREADS) {
  StepLayout step{args.step};
  int t = args.first + block_x();
  if (t >= step.tokens()) {
    return;
  }
  int count = ceil_div(step.visible(t), SPLIT);
  int64_t row = (int64_t)block_x() * args.heads + block_y();
  const float* extremes = args.extremes + 2 * row * args.splits;
  float largest = -infinity();
  for (int s = 0; s < count; s++) {
    largest = fmaxf(largest, extremes[2 * s]);
  }
  float total = 0.0f;
  for (int s = 0; s < count; s++) {
    total = fused(extremes[2 * s + 1], exponential(extremes[2 * s] - largest), total);
  }
  for (int c = thread_index(); c < args.latent; c += THREADS) {
    float value = 0.0f;
    for (int s = 0; s < count; s++) {
      float weight = exponential(extremes[2 * s] - largest);
      value = fused(args.sums[(row * args.splits + s) * args.latent + c], weight, value);
    }
    args.out[row * args.latent + c] = quotient(value, total);
  }
}
