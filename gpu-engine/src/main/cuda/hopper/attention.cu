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
// Multi-head latent attention in the absorbed form, for prompt and output alike:
//   s_j = scale · q · [c_j | r_j],  out = Σ_j softmax(s)_j · c_j   (576 and 512 columns, per head)
// over a paged cache. A row is one query token; it sees its first `length` cache entries.
//
// A row's bits depend on its own entries alone. Entries are visited in pieces of 1,024; within a piece in pairs of
// pages (64 entries each) with one running maximum a pair; pieces are merged in ascending order. Who computes a
// piece does not matter: `attend` with one item a row and `attend` with one item a piece followed by
// `attend_merge` give the same bits.
//
//   attend_plan   grid 1, block 1024, shared none
//                 (length int[rows], rows, items Item[], itemCount int[1], firstItem int[rows])
//                 one item a piece, for few rows. Items: at most Σ ⌈length/1024⌉.
//   attend        grid the multiprocessors (or fewer), block 384, shared 223,440 bytes
//                 (q, cache, pages, pageStart int[rows], length int[rows], rows, heads, scale, items, itemCount,
//                 partial, scratch, out, outRows)
//     q           queries (layout.cuh), ⌈heads/64⌉ images a row; heads beyond the last are never stored
//     cache       pages of the layer, 73,728 bytes each; entries beyond a row's length may hold anything
//     pages       page numbers; those of row r begin at pages[pageStart[r]]
//     scale       softmax scale times log2(e)
//     items, itemCount, partial   from attend_plan; partial is kPartialFloats = 33,792 floats an item and image.
//                 Or all null: one item a row, for many rows
//     scratch     without items: 33,792 floats a block of the grid (rows longer than 1,024 use it); else unused
//     out         panel of bf16, capacity outRows: K blocks 8h to 8h + 7 are head h's 512 columns
//   attend_merge  grid (rows, ⌈heads/64⌉), block 256, shared none
//                 (length, firstItem, rows, heads, partial, out, outRows); rows of one piece are left alone
// Every row has length ≥ 1. `cache`, `q` and `partial` are 128-byte aligned.
#include "layout.cuh"
#include "ptx.cuh"
#include "ring.cuh"
#include "store.cuh"
#include "wgmma.cuh"

namespace moontide {
namespace attention {

constexpr int kPiece = 1024;
constexpr int kLatentSlabs = 8;
/** What 256 threads have of a piece: 128 sums each, two maxima and two denominators. */
constexpr int kPartialFloats = 256 * 132;

constexpr int kPagesAt = kPageBytes;
constexpr int kMaximaAt = 3 * kPageBytes;
constexpr int kSumsAt = kMaximaAt + 2 * 64 * 4;
constexpr int kBarriersAt = kSumsAt + 2 * 64 * 4;
// Barriers: queries full and empty; nine slabs full for each page; three groups of slabs empty for each page.
constexpr int kFullAt = kBarriersAt + 16;
constexpr int kEmptyAt = kFullAt + 2 * kPageSlabs * 8;
/** Groups of slabs that become free together: latent columns 0 to 255, 256 to 511, and the rotated key. */
enum Group { kLeft = 0, kRight = 1, kRope = 2 };

struct Item {
  int row;
  int piece;
};

__device__ __forceinline__ uint32_t full_barrier(uint32_t shared, int page, int slab) {
  return shared + kFullAt + (page * kPageSlabs + slab) * 8;
}

__device__ __forceinline__ uint32_t empty_barrier(uint32_t shared, int page, int group) {
  return shared + kEmptyAt + (page * 3 + group) * 8;
}

/** Which entries of which row and image a block works on. */
struct Work {
  int row;
  int image;
  int length;
  int firstPiece;
  int endPiece;

  /** Whether other items have the rest of the row. */
  __device__ __forceinline__ bool partial() const {
    return endPiece - firstPiece < (length + kPiece - 1) / kPiece;
  }
};

struct Worklist {
  const int* length;
  const Item* items;
  int count;
  int images;

  __device__ __forceinline__ Work at(int index) const {
    Work work = {0, index % images, 0, 0, 0};
    if (items != nullptr) {
      Item item = items[index / images];
      work.row = item.row;
      work.length = length[item.row];
      work.firstPiece = item.piece;
      work.endPiece = item.piece + 1;
    } else {
      work.row = index / images;
      work.length = length[work.row];
      work.endPiece = (work.length + kPiece - 1) / kPiece;
    }
    return work;
  }
};

/** How two parts of a row's softmax become one: o = o1 · first + o2 · second. */
struct Merge {
  float first;
  float second;

  /** `maximum` and `sum` are the first part's and become both parts'. */
  __device__ __forceinline__ Merge(float& maximum, float& sum, float maximum2, float sum2) {
    float m = fmaxf(maximum, maximum2);
    first = exp2_fast(maximum - m);
    second = exp2_fast(maximum2 - m);
    sum = __fmaf_rn(sum2, second, __fmul_rn(sum, first));
    maximum = m;
  }

  __device__ __forceinline__ float of(float o1, float o2) const {
    return __fmaf_rn(o2, second, __fmul_rn(o1, first));
  }
};

/** Writes a thread's sums, divided by their denominators, to the panel that value_up reads. */
__device__ __forceinline__ void store_row(
    float (&o)[128], const float (&sum)[2], const Work& work, int heads, uint8_t* out, int64_t outRows,
    int group, int warp, int lane) {
#pragma unroll
  for (int half = 0; half < 2; half++) {
    float inverse = __frcp_rn(sum[half]);
    int head = work.image * 64 + warp * 16 + lane / 4 + 8 * half;
#pragma unroll
    for (int j = 0; j < 32; j++) {
      o[4 * j + 2 * half] = __fmul_rn(o[4 * j + 2 * half], inverse);
      o[4 * j + 2 * half + 1] = __fmul_rn(o[4 * j + 2 * half + 1], inverse);
    }
    visit_bf16(o, half, lane, [&](int column, uint32_t low, uint32_t high) {
      if (head < heads) {
        int byte = 2 * (group * 256 + column);
        uint8_t* to = out + (static_cast<int64_t>(head) * kLatentSlabs + byte / kRowBytes) * outRows * kRowBytes +
                      image_offset(work.row, byte % kRowBytes);
        *reinterpret_cast<uint2*>(to) = {low, high};
      }
    });
  }
}

__device__ __forceinline__ void load_slabs(
    uint32_t shared, int page, int first, int count, const uint8_t* from) {
  uint32_t to = shared + kPagesAt + page * kPageBytes + first * kSlabBytes;
  uint32_t barrier = full_barrier(shared, page, first);
  from += first * kSlabBytes;
  // Not unrolled: the copying warp has few registers.
#pragma unroll 1
  for (int slab = 0; slab < count; slab++) {
    barrier_expect(barrier, kSlabBytes);
    bulk_load(to, from, kSlabBytes, barrier);
    to += kSlabBytes;
    from += kSlabBytes;
    barrier += 8;
  }
}

/** The copying warp: queries, then pages in pairs, slabs in the order they become free and are needed. */
__device__ __forceinline__ void produce(
    const uint8_t* q, const uint8_t* cache, const int* pages, const int* pageStart, const Worklist& list,
    uint32_t shared, int lane) {
  uint32_t queryParity = 1;
  uint32_t parity0 = 1;
  uint32_t parity1 = 1;
  for (int index = blockIdx.x; index < list.count; index += gridDim.x) {
    // Read while the warpgroups still work on the pair before: the latency is hidden.
    Work work = list.at(index);
    const int* table = pages + pageStart[work.row];
    if (lane == 0) {
      barrier_wait(shared + kBarriersAt + 8, queryParity);
      barrier_expect(shared + kBarriersAt, kPageBytes);
      bulk_load(shared, q + (static_cast<int64_t>(work.row) * list.images + work.image) * kPageBytes,
                kPageBytes, shared + kBarriersAt);
    }
    queryParity ^= 1;
    for (int piece = work.firstPiece; piece < work.endPiece; piece++) {
      int entries = min(kPiece, work.length - piece * kPiece);
      int tiles = (entries + kPageTokens - 1) / kPageTokens;
      int mine = lane < tiles ? table[piece * (kPiece / kPageTokens) + lane] : 0;
      for (int tile = 0; tile < tiles; tile += 2) {
        bool two = tile + 1 < tiles;
        const uint8_t* a = cache + static_cast<int64_t>(__shfl_sync(0xffffffffu, mine, tile)) * kPageBytes;
        const uint8_t* b = cache + static_cast<int64_t>(__shfl_sync(0xffffffffu, mine, tile + 1)) * kPageBytes;
        if (lane == 0) {
          barrier_wait(empty_barrier(shared, 0, kLeft), parity0);
          load_slabs(shared, 0, 0, 4, a);
          if (two) {
            barrier_wait(empty_barrier(shared, 1, kRight), parity1);
            load_slabs(shared, 1, 4, 4, b);
          }
          barrier_wait(empty_barrier(shared, 0, kRight), parity0);
          load_slabs(shared, 0, 4, 4, a);
          if (two) {
            barrier_wait(empty_barrier(shared, 1, kLeft), parity1);
            load_slabs(shared, 1, 0, 4, b);
          }
          barrier_wait(empty_barrier(shared, 0, kRope), parity0);
          load_slabs(shared, 0, 8, 1, a);
          if (two) {
            barrier_wait(empty_barrier(shared, 1, kRope), parity1);
            load_slabs(shared, 1, 8, 1, b);
          }
        }
        parity0 ^= 1;
        parity1 ^= two;
        __syncwarp();
      }
    }
  }
}

/**
 * A multiplying warpgroup: number 0 scores the first page of a pair, 1 the second; both share the maximum, hand
 * each other their weights through the page's rope slab, and sum over both pages their half of the columns.
 */
template <int group>
struct Consumer {
  uint32_t shared;
  int warp;
  int lane;
  float scale;
  uint32_t parity0;
  uint32_t parity1;
  float o[128];
  float maximum[2];
  float sum[2];

  __device__ __forceinline__ uint32_t parity(int which) const { return which == 0 ? parity0 : parity1; }

  __device__ __forceinline__ uint32_t page(int which) const {
    return shared + kPagesAt + which * kPageBytes;
  }

  /** s = q · k of the warpgroup's own page: 64 heads × 64 entries. */
  __device__ __forceinline__ void scores(float (&s)[32]) const {
#pragma unroll
    for (int i = 0; i < kPageSlabs; i++) {
      // In order of arrival: the second page's right half comes before its left.
      int slab = i == 8 || group == 0 ? i : i ^ 4;
      barrier_wait(full_barrier(shared, group, slab), parity(group));
      mma_fence();
      uint64_t a = k_major(shared + slab * kSlabBytes);
      uint64_t b = k_major(page(group) + slab * kSlabBytes);
#pragma unroll
      for (int k = 0; k < 4; k++) {
        mma_bf16(s, a + 2 * k, b + 2 * k, i > 0 || k > 0);
      }
    }
    mma_commit();
    mma_wait<0>();
  }

  /** Entries from `valid` on become zero, so that what memory holds there meets its zero weights harmlessly. */
  __device__ __forceinline__ void clear_rows(int valid) const {
    int thread = warp * 32 + lane;
    uint32_t from = page(group) + valid * kRowBytes;
    int chunks = (kPageTokens - valid) * (kRowBytes / 16);
#pragma unroll 1
    for (int slab = 0; slab < kLatentSlabs; slab++) {
#pragma unroll 1
      for (int i = thread; i < chunks; i += 128) {
        shared_store_zeros(from + slab * kSlabBytes + i * 16);
      }
    }
  }

  /** o += weights · values of the own page, weights from registers. */
  __device__ __forceinline__ void add_own(const uint32_t (&weights)[4][4]) {
    mma_fence();
    uint64_t b = mn_major(page(group) + group * 4 * kSlabBytes, kSlabBytes);
#pragma unroll
    for (int k = 0; k < 4; k++) {
      mma_bf16_mn(o, weights[k], b + 128 * k, 1);
    }
    mma_commit();
  }

  /** o += weights · values of the other page, weights from its rope slab. */
  __device__ __forceinline__ void add_other() {
    constexpr int other = 1 - group;
#pragma unroll
    for (int i = 0; i < 4; i++) {
      barrier_wait(full_barrier(shared, other, group * 4 + i), parity(other));
    }
    mma_fence();
    uint64_t a = k_major(page(other) + kLatentSlabs * kSlabBytes);
    uint64_t b = mn_major(page(other) + group * 4 * kSlabBytes, kSlabBytes);
#pragma unroll
    for (int k = 0; k < 4; k++) {
      mma_bf16_mn(o, a + 2 * k, b + 128 * k, 1);
    }
    mma_commit();
  }

  __device__ __forceinline__ void release(int which, int slabs) const {
    if (lane == 0) {
      barrier_arrive(empty_barrier(shared, which, slabs));
    }
  }

  /** A pair of pages, or one when not `two`, of which `entries` count. */
  template <bool two>
  __device__ __forceinline__ void pair(int entries, bool lastOfQuery) {
    constexpr bool scoring = group == 0 || two;
    // Addresses are computed anew for every pair: hoisted out of the loop they would take too many registers.
    asm volatile("" : "+r"(shared));
    int valid = min(kPageTokens, entries - group * kPageTokens);
    float s[32];
    float high[2] = {-INFINITY, -INFINITY};
    if constexpr (scoring) {
      scores(s);
      if (valid < kPageTokens) {
#pragma unroll
        for (int i = 0; i < 32; i++) {
          int column = i / 4 * 8 + 2 * (lane & 3) + (i & 1);
          s[i] = column < valid ? s[i] : -INFINITY;
        }
        clear_rows(valid);
      }
#pragma unroll
      for (int i = 0; i < 32; i++) {
        high[i / 2 % 2] = fmaxf(high[i / 2 % 2], s[i]);
      }
    }
    if (lastOfQuery && lane == 0) {
      barrier_arrive(shared + kBarriersAt + 8);
    }
    uint32_t maxima = shared + kMaximaAt;
    int row = warp * 16 + lane / 4;
#pragma unroll
    for (int half = 0; half < 2; half++) {
      high[half] = fmaxf(high[half], __shfl_xor_sync(0xffffffffu, high[half], 1));
      high[half] = fmaxf(high[half], __shfl_xor_sync(0xffffffffu, high[half], 2));
      if ((lane & 3) == 0) {
        shared_store(maxima + 4 * (group * 64 + row + 8 * half), high[half]);
      }
    }
    named_barrier(1, kMathThreads);
    float shrink[2];
#pragma unroll
    for (int half = 0; half < 2; half++) {
      float both = fmaxf(high[half], shared_load(maxima + 4 * ((1 - group) * 64 + row + 8 * half)));
      float m = fmaxf(maximum[half], __fmul_rn(both, scale));
      shrink[half] = exp2_fast(maximum[half] - m);
      maximum[half] = m;
      sum[half] = __fmul_rn(sum[half], shrink[half]);
    }
    uint32_t weights[4][4];
    if constexpr (scoring) {
#pragma unroll
      for (int i = 0; i < 32; i++) {
        s[i] = exp2_fast(__fmaf_rn(s[i], scale, -maximum[i / 2 % 2]));
        sum[i / 2 % 2] = __fadd_rn(sum[i / 2 % 2], s[i]);
      }
      uint32_t to = page(group) + kLatentSlabs * kSlabBytes;
#pragma unroll
      for (int j = 0; j < 8; j++) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
          uint32_t two2 = pack_bf16(s[4 * j + 2 * half], s[4 * j + 2 * half + 1]);
          weights[j / 2][(j & 1) * 2 + half] = two2;
          shared_store(to + static_cast<uint32_t>(image_offset(row + 8 * half, 16 * j + 4 * (lane & 3))), two2);
        }
      }
    }
    shared_proxy_fence();
    named_barrier(1, kMathThreads);
#pragma unroll
    for (int i = 0; i < 128; i++) {
      o[i] = __fmul_rn(o[i], shrink[i / 2 % 2]);
    }
    if constexpr (two) {
      add_own(weights);
      add_other();
      mma_wait<1>();
      release(group, group);
      mma_wait<0>();
      release(1 - group, group);
      release(1 - group, kRope);
    } else if constexpr (group == 0) {
      add_own(weights);
      mma_wait<0>();
      release(0, kLeft);
    } else {
      add_other();
      mma_wait<0>();
      release(0, kRight);
      release(0, kRope);
    }
    parity0 ^= 1;
    parity1 ^= two;
  }

  /** Both warpgroups' denominators, added in their order. */
  __device__ __forceinline__ void add_sums() {
    uint32_t sums = shared + kSumsAt;
    int row = warp * 16 + lane / 4;
#pragma unroll
    for (int half = 0; half < 2; half++) {
      sum[half] = __fadd_rn(sum[half], __shfl_xor_sync(0xffffffffu, sum[half], 1));
      sum[half] = __fadd_rn(sum[half], __shfl_xor_sync(0xffffffffu, sum[half], 2));
      if ((lane & 3) == 0) {
        shared_store(sums + 4 * (group * 64 + row + 8 * half), sum[half]);
      }
    }
    named_barrier(1, kMathThreads);
#pragma unroll
    for (int half = 0; half < 2; half++) {
      sum[half] = __fadd_rn(shared_load(sums + 4 * (row + 8 * half)), shared_load(sums + 4 * (64 + row + 8 * half)));
    }
  }

  /** The sums of entries piece · 1,024 to `length` or 1,024 more. */
  __device__ __forceinline__ void piece(int piece, int length, bool lastOfQuery) {
#pragma unroll
    for (int i = 0; i < 128; i++) {
      o[i] = 0.f;
    }
#pragma unroll
    for (int half = 0; half < 2; half++) {
      maximum[half] = -INFINITY;
      sum[half] = 0.f;
    }
    int entries = min(kPiece, length - piece * kPiece);
    int at = 0;
    for (; at + kPageTokens < entries; at += 2 * kPageTokens) {
      pair<true>(min(2 * kPageTokens, entries - at), lastOfQuery && at + 2 * kPageTokens >= entries);
    }
    if (at < entries) {
      pair<false>(entries - at, lastOfQuery);
    }
    add_sums();
  }

  __device__ __forceinline__ float4* sums_at(float* partial, int i) const {
    return reinterpret_cast<float4*>(partial) + i * kMathThreads + group * 128 + warp * 32 + lane;
  }

  __device__ __forceinline__ void save(float* partial) {
#pragma unroll
    for (int i = 0; i < 32; i++) {
      *sums_at(partial, i) = {o[4 * i], o[4 * i + 1], o[4 * i + 2], o[4 * i + 3]};
    }
    *sums_at(partial, 32) = {maximum[0], maximum[1], sum[0], sum[1]};
  }

  /** What `partial` holds of the entries before, and what is here, become one. */
  __device__ __forceinline__ void merge(float* partial) {
    float4 tail = *sums_at(partial, 32);
    Merge merge0(tail.x, tail.z, maximum[0], sum[0]);
    Merge merge1(tail.y, tail.w, maximum[1], sum[1]);
    maximum[0] = tail.x;
    maximum[1] = tail.y;
    sum[0] = tail.z;
    sum[1] = tail.w;
#pragma unroll
    for (int i = 0; i < 32; i++) {
      float4 before = *sums_at(partial, i);
      o[4 * i] = merge0.of(before.x, o[4 * i]);
      o[4 * i + 1] = merge0.of(before.y, o[4 * i + 1]);
      o[4 * i + 2] = merge1.of(before.z, o[4 * i + 2]);
      o[4 * i + 3] = merge1.of(before.w, o[4 * i + 3]);
    }
  }
};

/** The multiplying warpgroup `group`: every item of this block. */
template <int group>
__device__ __forceinline__ void consume(
    const Worklist& list, uint32_t shared, float scale, float* partial, float* scratch, uint8_t* out, int64_t outRows,
    int heads, int warp, int lane) {
  Consumer<group> c;
  c.shared = shared;
  c.warp = warp;
  c.lane = lane;
  c.scale = scale;
  c.parity0 = 0;
  c.parity1 = 0;
  uint32_t queryParity = 0;
  for (int index = blockIdx.x; index < list.count; index += gridDim.x) {
    Work work = list.at(index);
    barrier_wait(shared + kBarriersAt, queryParity);
    queryParity ^= 1;
    for (int piece = work.firstPiece; piece < work.endPiece; piece++) {
      bool last = piece + 1 == work.endPiece;
      c.piece(piece, work.length, last);
      if (piece > work.firstPiece) {
        c.merge(scratch + static_cast<int64_t>(blockIdx.x) * kPartialFloats);
      }
      if (!last) {
        c.save(scratch + static_cast<int64_t>(blockIdx.x) * kPartialFloats);
      }
    }
    if (work.partial()) {
      c.save(partial + static_cast<int64_t>(index) * kPartialFloats);
    } else {
      store_row(c.o, c.sum, work, heads, out, outRows, group, warp, lane);
    }
  }
}

}  // namespace attention
}  // namespace moontide

extern "C" __global__ void __launch_bounds__(384, 1) attend(
    const uint8_t* q, const uint8_t* cache, const int* pages, const int* pageStart, const int* length,
    int rows, int heads, float scale, const moontide::attention::Item* items, const int* itemCount,
    float* partial, float* scratch, uint8_t* out, int outRows) {
  using namespace moontide;
  using namespace moontide::attention;
  extern __shared__ __align__(16) char raw[];
  uint32_t shared = shared_address(aligned_shared(raw));
  int images = (heads + 63) / 64;
  Worklist list = {length, items, (items != nullptr ? *itemCount : rows) * images, images};
  if (threadIdx.x == 0) {
    barrier_init(shared + kBarriersAt, 1);
    barrier_init(shared + kBarriersAt + 8, 8);
    for (int i = 0; i < 2 * kPageSlabs; i++) {
      barrier_init(shared + kFullAt + i * 8, 1);
    }
    for (int i = 0; i < 6; i++) {
      barrier_init(shared + kEmptyAt + i * 8, 4);
    }
    barrier_init_fence();
  }
  __syncthreads();
  // The same in all lanes, which the compiler must know: wgmma may not diverge.
  int warp = __shfl_sync(0xffffffffu, threadIdx.x / 32, 0);
  int lane = threadIdx.x % 32;
  if (warp >= 8) {
    registers_down<40>();
    if (warp == 8) {
      produce(q, cache, pages, pageStart, list, shared, lane);
    }
  } else {
    registers_up<232>();
    if (warp < 4) {
      consume<0>(list, shared, scale, partial, scratch, out, outRows, heads, warp, lane);
    } else {
      consume<1>(list, shared, scale, partial, scratch, out, outRows, heads, warp - 4, lane);
    }
  }
}

extern "C" __global__ void __launch_bounds__(256) attend_merge(
    const int* length, const int* firstItem, int rows, int heads, const float* partial, uint8_t* out,
    int outRows) {
  using namespace moontide;
  using namespace moontide::attention;
  int row = blockIdx.x;
  int image = blockIdx.y;
  int pieces = (length[row] + kPiece - 1) / kPiece;
  if (pieces < 2) {
    return;
  }
  int lane = threadIdx.x % 32;
  int group = threadIdx.x / 128;
  int warp = threadIdx.x / 32 % 4;
  float o[128];
  float maximum[2];
  float sum[2];
  for (int p = 0; p < pieces; p++) {
    const float4* from =
        reinterpret_cast<const float4*>(
            partial + (static_cast<int64_t>(firstItem[row] + p) * gridDim.y + image) * kPartialFloats) +
        threadIdx.x;
    float4 tail = from[32 * kMathThreads];
    if (p == 0) {
      maximum[0] = tail.x;
      maximum[1] = tail.y;
      sum[0] = tail.z;
      sum[1] = tail.w;
#pragma unroll
      for (int i = 0; i < 32; i++) {
        float4 x = from[i * kMathThreads];
        o[4 * i] = x.x;
        o[4 * i + 1] = x.y;
        o[4 * i + 2] = x.z;
        o[4 * i + 3] = x.w;
      }
    } else {
      Merge merge0(maximum[0], sum[0], tail.x, tail.z);
      Merge merge1(maximum[1], sum[1], tail.y, tail.w);
#pragma unroll
      for (int i = 0; i < 32; i++) {
        float4 x = from[i * kMathThreads];
        o[4 * i] = merge0.of(o[4 * i], x.x);
        o[4 * i + 1] = merge0.of(o[4 * i + 1], x.y);
        o[4 * i + 2] = merge1.of(o[4 * i + 2], x.z);
        o[4 * i + 3] = merge1.of(o[4 * i + 3], x.w);
      }
    }
  }
  Work work = {row, image, length[row], 0, pieces};
  store_row(o, sum, work, heads, out, outRows, group, warp, lane);
}

extern "C" __global__ void __launch_bounds__(1024) attend_plan(
    const int* length, int rows, moontide::attention::Item* items, int* itemCount, int* firstItem) {
  using namespace moontide::attention;
  __shared__ int warpSums[32];
  int lane = threadIdx.x % 32;
  int warp = threadIdx.x / 32;
  int start = 0;
  for (int from = 0; from < rows; from += blockDim.x) {
    int row = from + threadIdx.x;
    int pieces = row < rows ? (length[row] + kPiece - 1) / kPiece : 0;
    int sum = pieces;
    for (int d = 1; d < 32; d *= 2) {
      int other = __shfl_up_sync(0xffffffffu, sum, d);
      sum += lane >= d ? other : 0;
    }
    if (lane == 31) {
      warpSums[warp] = sum;
    }
    __syncthreads();
    int first = start + sum - pieces;
    for (int w = 0; w < 32; w++) {
      first += w < warp ? warpSums[w] : 0;
      start += warpSums[w];
    }
    __syncthreads();
    if (row < rows) {
      firstItem[row] = first;
      for (int p = 0; p < pieces; p++) {
        items[first + p] = {row, p};
      }
    }
  }
  if (threadIdx.x == 0) {
    *itemCount = start;
  }
}
