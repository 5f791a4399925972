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

#include "attention.cuh"
#include "attention_consumer.cuh"

namespace moontide {
namespace attention {

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
