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
// Attention of prompt tokens in the naive form: keys and values expanded from the latent (expand_latent), 192 and
// 128 columns a head, a third of the absorbed form's arithmetic.
//
// A row's bits depend on its own entries alone: tiles of 128 entries from entry 0, a running maximum a row, entries
// beyond a row's length of weight zero, which changes nothing. They are not the bits of the absorbed form
// (attention.cu): which form a token takes must depend on the token alone, never on the step.
//
// The two multiplying warpgroups take turns: while one weighs its scores the other's products keep the tensor cores
// busy, and a warpgroup's own products with values run beside the weighing of its next scores.
//
//   attend_prompt  grid the multiprocessors, block 384, shared 214,112 bytes
//     (q, qRows, cache, pages, kv, kvRows, tiles, tileCount, length, heads, scale, out, outScale, outRows)
//     q         panel of bf16 from prepare_queries, K blocks 3h to 3h + 2, capacity qRows
//     cache     pages of the layer, for the rotated keys
//     pages     page numbers
//     kv        panel from expand_latent, capacity kvRows
//     tiles     PromptTile[tileCount]: up to 128 rows of one sequence; blocks draw them in order, head by head, so the
//               longest had better come first
//     length    int by row: entries the row sees
//     scale     softmax scale times log2(e)
//     out       o_proj's operand: with outScale an FP8 panel, K block h; without (null) a bf16 panel, K blocks 2h and
//               2h + 1; capacity outRows
#include "layout.cuh"
#include "ptx.cuh"
#include "quantise.cuh"
#include "ring.cuh"
#include "store.cuh"
#include "wgmma.cuh"

namespace moontide {
namespace prompt {

constexpr int kQueryBytes = 3 * kTileBytes;
constexpr int kStageBytes = 5 * kTileBytes;
constexpr int kStagesAt = kQueryBytes;
constexpr int kBarriersAt = kStagesAt + 2 * kStageBytes;
/** The number of the tile and head that the queries are of, negative after the last. */
constexpr int kDrawnAt = kBarriersAt + 10 * 8;
constexpr int kBytes = kDrawnAt + 16 + 1024;
static_assert(kBytes == 214112, "the launch contract above");

/** Rows of one sequence that a block takes together, for each head. */
struct PromptTile {
  /** Where the tile begins: a multiple of 8, so that its image is a piece of the panel. */
  int row;
  /** Its sequence's rows among row to row + 127: from firstRow to endRow - 1. */
  int firstRow;
  int endRow;
  /** The sequence's page numbers begin at pages[pageStart]. */
  int pageStart;
  /** The sequence's entry 0 in the expanded panel, a multiple of 8. */
  int keyRow;
  /** Entries the last row sees; the panel holds them up to the next multiple of 64. */
  int entries;
};

struct Inputs {
  const uint8_t* q;
  int64_t qRows;
  const uint8_t* cache;
  const int* pages;
  const uint8_t* kv;
  int64_t kvRows;
  const PromptTile* tiles;
  int tileCount;
  int heads;
};

__device__ __forceinline__ uint32_t barrier(uint32_t shared, int which) {
  return shared + kBarriersAt + which * 8;
}

/** Those of keys and values are two each, by stage. */
enum Barrier { kQueryFull = 0, kQueryEmpty = 1, kKeysFull = 2, kValuesFull = 4, kKeysEmpty = 6, kValuesEmpty = 8 };

/** Barriers among threads: both warpgroups, and the turn of each. */
enum NamedBarrier { kBoth = 1, kTurn = 2 };

__device__ int drawn;

/** A tile's entries as its stages are filled: keys run a stage ahead of values. */
struct Stages {
  const Inputs& in;
  const PromptTile& tile;
  int head;
  uint32_t shared;

  /** Whole pages of 64 entries: one or two. */
  __device__ __forceinline__ uint32_t bytes(int first) const {
    return tile.entries - first > kPageTokens ? kTileBytes : kSlabBytes;
  }

  __device__ __forceinline__ const uint8_t* expanded(int first, int kBlock) const {
    return in.kv + ((head * 4 + kBlock) * in.kvRows + tile.keyRow + first) * kRowBytes;
  }

  __device__ __forceinline__ void keys(int first, const Ring& ring) const {
    uint32_t stage = shared + kStagesAt + ring.stage * kStageBytes;
    uint32_t full = barrier(shared, kKeysFull + ring.stage);
    barrier_wait(barrier(shared, kKeysEmpty + ring.stage), ring.parity ^ 1);
    barrier_expect(full, 3 * bytes(first));
    bulk_load(stage, expanded(first, 0), bytes(first), full);
    bulk_load(stage + kTileBytes, expanded(first, 1), bytes(first), full);
    for (uint32_t at = 0; at < bytes(first); at += kSlabBytes) {
      int64_t page = in.pages[tile.pageStart + (first + static_cast<int>(at) / kRowBytes) / kPageTokens];
      bulk_load(stage + 2 * kTileBytes + at, in.cache + page * kPageBytes + 8 * kSlabBytes, kSlabBytes, full);
    }
  }

  __device__ __forceinline__ void values(int first, const Ring& ring) const {
    uint32_t stage = shared + kStagesAt + ring.stage * kStageBytes + 3 * kTileBytes;
    uint32_t full = barrier(shared, kValuesFull + ring.stage);
    barrier_wait(barrier(shared, kValuesEmpty + ring.stage), ring.parity ^ 1);
    barrier_expect(full, 2 * bytes(first));
    bulk_load(stage, expanded(first, 2), bytes(first), full);
    bulk_load(stage + kTileBytes, expanded(first, 3), bytes(first), full);
  }
};

__device__ __forceinline__ void produce(const Inputs& in, uint32_t shared) {
  uint32_t queryParity = 1;
  Ring keys;
  Ring values;
  int total = in.tileCount * in.heads;
  for (int index = draw(&drawn, total); ; index = draw(&drawn, total)) {
    barrier_wait(barrier(shared, kQueryEmpty), queryParity);
    queryParity ^= 1;
    if (index >= total) {
      shared_store(shared + kDrawnAt, ~0u);
      barrier_arrive(barrier(shared, kQueryFull));
      return;
    }
    shared_store(shared + kDrawnAt, static_cast<uint32_t>(index));
    PromptTile tile = in.tiles[index % in.tileCount];
    int head = index / in.tileCount;
    uint32_t rowBytes = static_cast<uint32_t>(min(static_cast<int64_t>(kTileRows), in.qRows - tile.row)) * kRowBytes;
    barrier_expect(barrier(shared, kQueryFull), 3 * rowBytes);
    for (int k = 0; k < 3; k++) {
      bulk_load(shared + k * kTileBytes, in.q + ((head * 3 + k) * in.qRows + tile.row) * kRowBytes, rowBytes,
                barrier(shared, kQueryFull));
    }
    Stages stages = {in, tile, head, shared};
    for (int first = 0; first < tile.entries + kTileRows; first += kTileRows) {
      if (first < tile.entries) {
        stages.keys(first, keys);
        keys.next<2>();
      }
      if (first > 0) {
        stages.values(first - kTileRows, values);
        values.next<2>();
      }
    }
  }
}

/** A row's softmax so far, for the two rows a thread has. */
struct Softmax {
  float maximum[2] = {-INFINITY, -INFINITY};
  float sum[2] = {0.f, 0.f};

  /** Scores to weights; entries from visible[half] on weigh nothing. Returns what earlier sums shrink by. */
  __device__ __forceinline__ void weigh(
      float (&s)[64], const int (&visible)[2], bool masked, float scale, int lane, float (&shrink)[2]) {
    if (masked) {
#pragma unroll
      for (int i = 0; i < 64; i++) {
        int column = i / 4 * 8 + 2 * (lane & 3) + (i & 1);
        s[i] = column < visible[i / 2 % 2] ? s[i] : -INFINITY;
      }
    }
    float high[2] = {-INFINITY, -INFINITY};
#pragma unroll
    for (int i = 0; i < 64; i++) {
      high[i / 2 % 2] = fmaxf(high[i / 2 % 2], s[i]);
    }
#pragma unroll
    for (int half = 0; half < 2; half++) {
      high[half] = fmaxf(high[half], __shfl_xor_sync(0xffffffffu, high[half], 1));
      high[half] = fmaxf(high[half], __shfl_xor_sync(0xffffffffu, high[half], 2));
      float m = fmaxf(maximum[half], __fmul_rn(high[half], scale));
      // A row of another sequence may see nothing yet; its numbers are never stored.
      float from = m == -INFINITY ? 0.f : m;
      shrink[half] = exp2_fast(maximum[half] - from);
      maximum[half] = m;
      sum[half] = __fmul_rn(sum[half], shrink[half]);
      high[half] = from;
    }
#pragma unroll
    for (int i = 0; i < 64; i++) {
      s[i] = exp2_fast(__fmaf_rn(s[i], scale, -high[i / 2 % 2]));
      sum[i / 2 % 2] = __fadd_rn(sum[i / 2 % 2], s[i]);
    }
  }
};

/** s = q · k: 64 rows × 128 entries. */
__device__ __forceinline__ void scores(float (&s)[64], uint32_t query, uint32_t keys) {
  mma_fence();
#pragma unroll
  for (int k = 0; k < 12; k++) {
    mma_bf16(s, k_major(query + k / 4 * kTileBytes) + 2 * (k % 4), k_major(keys + k / 4 * kTileBytes) + 2 * (k % 4),
             k > 0);
  }
  mma_commit();
}

/** Weights rounded to bf16, as the operand of add_values. */
__device__ __forceinline__ void round_weights(uint32_t (&weights)[8][4], const float (&s)[64]) {
#pragma unroll
  for (int j = 0; j < 16; j++) {
    weights[j / 2][(j & 1) * 2] = pack_bf16(s[4 * j], s[4 * j + 1]);
    weights[j / 2][(j & 1) * 2 + 1] = pack_bf16(s[4 * j + 2], s[4 * j + 3]);
  }
}

/** o += weights · values. */
__device__ __forceinline__ void add_values(float (&o)[64], const uint32_t (&weights)[8][4], uint32_t values) {
  mma_fence();
#pragma unroll
  for (int k = 0; k < 8; k++) {
    mma_bf16_mn(o, weights[k], mn_major(values, kTileBytes) + 128 * k, 1);
  }
  mma_commit();
}

/** Waits until the other warpgroup has issued its products. */
__device__ __forceinline__ void take_turn(int group) {
  if (group == 0) {
    named_barrier(kTurn, kMathThreads);
  } else {
    named_barrier(kTurn + 1, kMathThreads);
  }
}

__device__ __forceinline__ void pass_turn(int group) {
  if (group == 0) {
    named_arrive(kTurn + 1, kMathThreads);
  } else {
    named_arrive(kTurn, kMathThreads);
  }
}

/** Writes a row's 128 values: FP8 with their scale, or bf16. */
__device__ __forceinline__ void store_row(
    float (&o)[64], int half, float sum, int row, bool valid, int head, uint8_t* out, float* outScale,
    int64_t outRows, int lane) {
  float inverse = __frcp_rn(sum);
  float m = kFp8Smallest;
#pragma unroll
  for (int j = 0; j < 16; j++) {
#pragma unroll
    for (int i = 0; i < 2; i++) {
      float& x = o[4 * j + 2 * half + i];
      x = __fmul_rn(x, inverse);
      m = fmaxf(m, fabsf(x));
    }
  }
  if (outScale == nullptr) {
    visit_bf16(o, half, lane, [&](int column, uint4 eight) {
      if (valid) {
        *reinterpret_cast<uint4*>(out + panel_offset(row, head * 256 + 2 * column, outRows)) = eight;
      }
    });
    return;
  }
  m = fmaxf(m, __shfl_xor_sync(0xffffffffu, m, 1));
  m = fmaxf(m, __shfl_xor_sync(0xffffffffu, m, 2));
  float factor = __fdiv_rn(kFp8Max, m);
#pragma unroll
  for (int j = 0; j < 16; j++) {
    uint32_t low = to_fp8(__fmul_rn(o[4 * j + 2 * half], factor));
    uint32_t high = to_fp8(__fmul_rn(o[4 * j + 2 * half + 1], factor));
    if (valid) {
      *reinterpret_cast<uint16_t*>(out + panel_offset(row, head * kRowBytes + 8 * j + 2 * (lane & 3), outRows)) =
          static_cast<uint16_t>(low | (high << 8));
    }
  }
  if ((lane & 3) == 0 && valid) {
    outScale[head * outRows + row] = __fdiv_rn(m, kFp8Max);
  }
}

__device__ __forceinline__ void release(uint32_t shared, int which, int lane) {
  if (lane == 0) {
    barrier_arrive(barrier(shared, which));
  }
}

__device__ __forceinline__ void consume(
    const Inputs& in, const int* length, float scale, uint8_t* out, float* outScale, int64_t outRows,
    uint32_t shared, int warp, int lane) {
  uint32_t queryParity = 0;
  Ring ring;
  int group = warp / 4;
  uint32_t query = shared + group * (kTileBytes / 2);
  if (group == 1) {
    pass_turn(group);
  }
  for (;;) {
    barrier_wait(barrier(shared, kQueryFull), queryParity);
    queryParity ^= 1;
    int index = static_cast<int>(shared_load_word(shared + kDrawnAt));
    if (index < 0) {
      return;
    }
    PromptTile tile = in.tiles[index % in.tileCount];
    int row = tile.row + warp * 16 + lane / 4;
    bool valid[2] = {row >= tile.firstRow && row < tile.endRow, row + 8 >= tile.firstRow && row + 8 < tile.endRow};
    int seen[2] = {valid[0] ? length[row] : 0, valid[1] ? length[row + 8] : 0};
    // The fewest entries a row of this warp sees: tiles up to there need no mask.
    int fewest = min(valid[0] ? seen[0] : tile.entries, valid[1] ? seen[1] : tile.entries);
    fewest = __reduce_min_sync(0xffffffffu, fewest);
    Softmax softmax;
    float o[64];
    float s[64];
    float shrink[2];
    uint32_t weights[8][4];
#pragma unroll
    for (int i = 0; i < 64; i++) {
      o[i] = 0.f;
    }
    barrier_wait(barrier(shared, kKeysFull + ring.stage), ring.parity);
    scores(s, query, shared + kStagesAt + ring.stage * kStageBytes);
    mma_wait<0>();
    release(shared, kKeysEmpty + ring.stage, lane);
    softmax.weigh(s, seen, kTileRows > fewest, scale, lane, shrink);
    round_weights(weights, s);
    int first = kTileRows;
    for (; first < tile.entries; first += kTileRows) {
      uint32_t values = shared + kStagesAt + ring.stage * kStageBytes + 3 * kTileBytes;
      Ring before = ring;
      ring.next<2>();
      barrier_wait(barrier(shared, kKeysFull + ring.stage), ring.parity);
      take_turn(group);
      scores(s, query, shared + kStagesAt + ring.stage * kStageBytes);
      barrier_wait(barrier(shared, kValuesFull + before.stage), before.parity);
      add_values(o, weights, values);
      pass_turn(group);
      mma_wait<1>();
      release(shared, kKeysEmpty + ring.stage, lane);
      int visible[2] = {seen[0] - first, seen[1] - first};
      softmax.weigh(s, visible, first + kTileRows > fewest, scale, lane, shrink);
      mma_wait<0>();
      release(shared, kValuesEmpty + before.stage, lane);
#pragma unroll
      for (int i = 0; i < 64; i++) {
        o[i] = __fmul_rn(o[i], shrink[i / 2 % 2]);
      }
      round_weights(weights, s);
    }
    release(shared, kQueryEmpty, lane);
    uint32_t values = shared + kStagesAt + ring.stage * kStageBytes + 3 * kTileBytes;
    barrier_wait(barrier(shared, kValuesFull + ring.stage), ring.parity);
    if (first > tile.entries) {
      // What lies beyond the last entry may be anything, but meets weights of zero: make it zero.
      int valid0 = tile.entries - (first - kTileRows);
      for (int i = valid0 * 8 + static_cast<int>(threadIdx.x); i < kTileRows * 8; i += kMathThreads) {
        shared_store_zeros(values + i * 16);
        shared_store_zeros(values + kTileBytes + i * 16);
      }
      shared_proxy_fence();
      named_barrier(kBoth, kMathThreads);
    }
    add_values(o, weights, values);
    mma_wait<0>();
    release(shared, kValuesEmpty + ring.stage, lane);
    ring.next<2>();
    int head = index / in.tileCount;
#pragma unroll
    for (int half = 0; half < 2; half++) {
      float sum = softmax.sum[half];
      sum = __fadd_rn(sum, __shfl_xor_sync(0xffffffffu, sum, 1));
      sum = __fadd_rn(sum, __shfl_xor_sync(0xffffffffu, sum, 2));
      store_row(o, half, sum, row + 8 * half, valid[half], head, out, outScale, outRows, lane);
    }
  }
}

}  // namespace prompt
}  // namespace moontide

extern "C" __global__ void __launch_bounds__(384, 1) attend_prompt(
    const uint8_t* q, int qRows, const uint8_t* cache, const int* pages, const uint8_t* kv, int kvRows,
    const moontide::prompt::PromptTile* tiles, int tileCount, const int* length, int heads, float scale,
    uint8_t* out, float* outScale, int outRows) {
  using namespace moontide;
  using namespace moontide::prompt;
  extern __shared__ __align__(16) char raw[];
  uint32_t shared = shared_address(aligned_shared(raw));
  if (threadIdx.x == 0) {
    for (int i = 0; i < 10; i++) {
      barrier_init(barrier(shared, i), i == kQueryEmpty || i >= kKeysEmpty ? kMathThreads / 32 : 1);
    }
    barrier_init_fence();
  }
  __syncthreads();
  Inputs in = {q, qRows, cache, pages, kv, kvRows, tiles, tileCount, heads};
  int warp = __shfl_sync(0xffffffffu, threadIdx.x / 32, 0);
  int lane = threadIdx.x % 32;
  if (warp >= kMathThreads / 32) {
    registers_down<40>();
    if (warp == kMathThreads / 32 && lane == 0) {
      produce(in, shared);
    }
  } else {
    registers_up<232>();
    consume(in, length, scale, out, outScale, outRows, shared, warp, lane);
  }
}
