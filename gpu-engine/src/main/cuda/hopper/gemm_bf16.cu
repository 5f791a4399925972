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
// bf16 products, float32 sums over K in ascending order within a piece: plain ones and those by attention head.
//
// A tile is 128 rows by 256 features (value_up: 128), whatever the number of rows, so a row's bits are its own.
// Launch: grid = the multiprocessors, block = 384 threads, dynamic shared memory linear_bf16, query_absorb
// and expand_latent 197,696, value_up 197,728 bytes.
//
//   linear_bf16(a, aRows, rows, w, aBlocks, kBlocks, featureTiles, splits, out, store, columns, stride, outRows)
//     a        panel of `rows` rows, capacity aRows, aBlocks K blocks of 64 columns
//     w        bf16 tiles [featureTiles, even][kBlocks]; aBlocks is kBlocks, or twice that where the panel is a
//              row's high parts followed by its low parts (router): both meet the same weights
//     splits, out, store, columns, stride, outRows   as in linear_R of gemm_fp8.cu
//   query_absorb(a, aRows, rows, w, heads, out)
//     a        panel of the queries' nope parts, K blocks 2h and 2h + 1 those of head h (128 columns)
//     w        bf16 tiles [heads][4][2]: W_uk of a head transposed, [512 latent][128 nope]
//     out      queries (layout.cuh), 64 heads to an image, ⌈heads/64⌉ images a row: slabs 0 to 7
//   value_up(a, aRows, rows, w, heads, out, outScale, outRows, numbers)
//     a        panel of attention's output over the latent, K blocks 8h to 8h + 7 those of head h
//     w        bf16 tiles of kv_b as it is in the checkpoint, [heads][2][8]: W_uk, then W_uv [128 value][512 latent]
//     out      o_proj's operand: with outScale an FP8 panel, K block h; without (null) a bf16 panel, K blocks
//              2h and 2h + 1; capacity outRows
//     numbers  row r goes to row numbers[r] of out, or to r without them (null)
//   expand_latent(cache, pages, pageCount, w, heads, out, outRows)
//     pages    pageCount pages of the layer's cache: row r of the result is entry r % 64 of pages[r / 64]
//     w        kv_b, as for value_up
//     out      panel of bf16, capacity outRows: K blocks 4h, 4h + 1 head h's nope key, 4h + 2, 4h + 3 its value
#include "layout.cuh"
#include "ptx.cuh"
#include "quantise.cuh"
#include "ring.cuh"
#include "store.cuh"
#include "wgmma.cuh"

namespace moontide {
namespace bf16 {

template <int Pair>
struct Shape {
  static constexpr int kStage = (Pair + 1) * kTileBytes;
  static constexpr int kStages = Pair == 2 ? 4 : 6;
  static constexpr int kBarriersAt = kStages * kStage;
  static constexpr int kBytes = kBarriersAt + kStages * 16 + 1024;
};

struct Problem {
  const uint8_t* a;
  int64_t aRows;
  int rows;
  const uint8_t* w;
  int groups;
  /** Tiles of w from one group to the next. */
  int groupTiles;
  int aBlocks;
  int kBlocks;
  int featureTiles;
  int splits;
  /** Not null: row r is entry r % 64 of page pages[r / 64] of the cache at `a`. */
  const int* pages;
};

struct Work {
  int group;
  int row;
  int feature;
  int split;
  int kBegin;
  int kEnd;
};

/** Sixteen row tiles by one feature tile, then the next features, pieces of K and groups. */
template <int Pair>
__device__ __forceinline__ Work work_at(const Problem& p, int index) {
  int rowTiles = (p.rows + 127) / 128;
  int columns = p.featureTiles / Pair * p.splits;
  int perGroup = rowTiles * columns;
  Work work;
  work.group = index / perGroup;
  index %= perGroup;
  int band = index / (16 * columns);
  int height = min(16, rowTiles - band * 16);
  index -= band * 16 * columns;
  work.row = (band * 16 + index % height) * 128;
  int column = index / height;
  work.feature = column % (p.featureTiles / Pair);
  work.split = column / (p.featureTiles / Pair);
  work.kBegin = p.aBlocks * work.split / p.splits;
  work.kEnd = p.aBlocks * (work.split + 1) / p.splits;
  return work;
}

template <int Pair>
__device__ __forceinline__ int work_count(const Problem& p) {
  return (p.rows + 127) / 128 * (p.featureTiles / Pair) * p.splits * p.groups;
}

template <int Pair>
__device__ __forceinline__ void produce(
    const Problem& p, uint32_t shared, uint32_t full, uint32_t empty) {
  using S = Shape<Pair>;
  Ring ring;
  int total = work_count<Pair>(p);
  for (int index = blockIdx.x; index < total; index += gridDim.x) {
    Work work = work_at<Pair>(p, index);
    const uint8_t* w = p.w + (static_cast<int64_t>(work.group) * p.groupTiles + work.feature * Pair) *
                                 p.kBlocks * kTileBytes;
    uint32_t rowBytes = min(128, p.rows - work.row) * kRowBytes;
    for (int k = work.kBegin; k < work.kEnd; k++) {
      uint32_t stage = shared + ring.stage * S::kStage;
      uint32_t barrier = full + ring.stage * 8;
      int wBlock = k < p.kBlocks ? k : k - p.kBlocks;
      barrier_wait(empty + ring.stage * 8, ring.parity ^ 1);
      barrier_expect(barrier, Pair * kTileBytes + rowBytes);
#pragma unroll
      for (int t = 0; t < Pair; t++) {
        bulk_load(stage + t * kTileBytes, w + (static_cast<int64_t>(t) * p.kBlocks + wBlock) * kTileBytes,
                  kTileBytes, barrier);
      }
      if (p.pages != nullptr) {
        for (uint32_t at = 0; at < rowBytes; at += kSlabBytes) {
          int64_t page = p.pages[(work.row * kRowBytes + at) / kSlabBytes];
          bulk_load(stage + Pair * kTileBytes + at, p.a + page * kPageBytes + k * kSlabBytes, kSlabBytes, barrier);
        }
      } else {
        int64_t at = (static_cast<int64_t>(work.group) * p.aBlocks + k) * p.aRows + work.row;
        bulk_load(stage + Pair * kTileBytes, p.a + at * kRowBytes, rowBytes, barrier);
      }
      ring.next<S::kStages>();
    }
  }
}

/** The whole kernel but for what becomes of a tile's sums: `finish(acc, work, rowInTile, lane)`. */
template <int Pair, class Finish>
__device__ __forceinline__ void run(const Problem& p, Finish finish) {
  using S = Shape<Pair>;
  extern __shared__ __align__(16) char raw[];
  uint32_t shared = shared_address(aligned_shared(raw));
  uint32_t full = shared + S::kBarriersAt;
  uint32_t empty = full + S::kStages * 8;
  if (threadIdx.x == 0) {
    for (int i = 0; i < S::kStages; i++) {
      barrier_init(full + i * 8, 1);
      barrier_init(empty + i * 8, kMathThreads / 32);
    }
    barrier_init_fence();
  }
  __syncthreads();
  int warp = __shfl_sync(0xffffffffu, threadIdx.x / 32, 0);
  int lane = threadIdx.x % 32;
  if (warp >= kMathThreads / 32) {
    registers_down<24>();
    if (warp == kMathThreads / 32 && lane == 0) {
      produce<Pair>(p, shared, full, empty);
    }
  } else {
    registers_up<240>();
    int group = warp / 4;
    Ring ring;
    int total = work_count<Pair>(p);
    for (int index = blockIdx.x; index < total; index += gridDim.x) {
      Work work = work_at<Pair>(p, index);
      float acc[Pair][64];
      int before = -1;
#pragma unroll 1
      for (int k = work.kBegin; k < work.kEnd; k++) {
        uint32_t stage = shared + ring.stage * S::kStage;
        barrier_wait(full + ring.stage * 8, ring.parity);
        mma_fence();
        uint64_t a = k_major(stage + Pair * kTileBytes + group * (kTileBytes / 2));
#pragma unroll
        for (int t = 0; t < Pair; t++) {
          uint64_t b = k_major(stage + t * kTileBytes);
#pragma unroll
          for (int i = 0; i < 4; i++) {
            mma_bf16(acc[t], a + 2 * i, b + 2 * i, k > work.kBegin || i > 0);
          }
        }
        mma_commit();
        // One stage stays in flight; the one before it is free.
        mma_wait<1>();
        if (before >= 0 && lane == 0) {
          barrier_arrive(empty + before * 8);
        }
        before = ring.stage;
        ring.next<S::kStages>();
      }
      mma_wait<0>();
      if (lane == 0) {
        barrier_arrive(empty + before * 8);
      }
      finish(acc, work, group * 64 + (warp % 4) * 16 + lane / 4, lane);
    }
  }
}

}  // namespace bf16
}  // namespace moontide

extern "C" __global__ void __launch_bounds__(384, 1) linear_bf16(
    const uint8_t* a, int aRows, int rows, const uint8_t* w, int aBlocks, int kBlocks, int featureTiles,
    int splits, void* out, int store, int columns, int stride, int outRows) {
  using namespace moontide;
  RowStore to = {out, store, columns, stride, outRows};
  bf16::run<2>({a, aRows, rows, w, 1, 0, aBlocks, kBlocks, featureTiles, splits, nullptr},
               [&](float (&acc)[2][64], const bf16::Work& work, int row, int lane) {
                 int64_t first = to.first(work.split, work.row) + row;
#pragma unroll
                 for (int t = 0; t < 2; t++) {
                   to.warp_tile(acc[t], first, (work.feature * 2 + t) * 128, work.row + row < rows,
                                work.row + row + 8 < rows, lane);
                 }
               });
}

extern "C" __global__ void __launch_bounds__(384, 1) expand_latent(
    const uint8_t* cache, const int* pages, int pageCount, const uint8_t* w, int heads, uint8_t* out,
    int outRows) {
  using namespace moontide;
  int rows = pageCount * kPageTokens;
  bf16::run<2>({cache, 0, rows, w, 1, 0, 8, 8, 2 * heads, 1, pages},
               [&](float (&acc)[2][64], const bf16::Work& work, int row, int lane) {
#pragma unroll
                 for (int half = 0; half < 2; half++) {
                   int entry = work.row + row + 8 * half;
#pragma unroll
                   for (int t = 0; t < 2; t++) {
                     visit_bf16(acc[t], half, lane, [&](int column, uint4 eight) {
                       if (entry < rows) {
                         int byte = 2 * ((work.feature * 2 + t) * 128 + column);
                         *reinterpret_cast<uint4*>(out + panel_offset(entry, byte, outRows)) = eight;
                       }
                     });
                   }
                 }
               });
}

extern "C" __global__ void __launch_bounds__(384, 1) query_absorb(
    const uint8_t* a, int aRows, int rows, const uint8_t* w, int heads, uint8_t* out) {
  using namespace moontide;
  int images = (heads + 63) / 64;
  bf16::run<2>({a, aRows, rows, w, heads, 4, 2, 2, 4, 1, nullptr},
               [&](float (&acc)[2][64], const bf16::Work& work, int row, int lane) {
#pragma unroll
                 for (int half = 0; half < 2; half++) {
                   int token = work.row + row + 8 * half;
                   uint8_t* image =
                       out + (static_cast<int64_t>(token) * images + work.group / 64) * kPageBytes;
#pragma unroll
                   for (int t = 0; t < 2; t++) {
                     visit_bf16(acc[t], half, lane, [&](int column, uint4 eight) {
                       if (token < rows) {
                         int at = (work.feature * 2 + t) * 128 + column;
                         *reinterpret_cast<uint4*>(image + page_offset(work.group % 64, at)) = eight;
                       }
                     });
                   }
                 }
               });
}

extern "C" __global__ void __launch_bounds__(384, 1) value_up(
    const uint8_t* a, int aRows, int rows, const uint8_t* w, int heads, uint8_t* out, float* outScale,
    int outRows, const int* numbers) {
  using namespace moontide;
  bf16::run<1>({a, aRows, rows, w + 8 * kTileBytes, heads, 2, 8, 8, 1, 1, nullptr},
               [&](float (&acc)[1][64], const bf16::Work& work, int row, int lane) {
#pragma unroll
                 for (int half = 0; half < 2; half++) {
                   int r = work.row + row + 8 * half;
                   bool inside = r < rows;
                   int64_t token = inside && numbers != nullptr ? numbers[r] : r;
                   if (outScale == nullptr) {
                     visit_bf16(acc[0], half, lane, [&](int column, uint4 eight) {
                       if (inside) {
                         uint8_t* to = out + panel_offset(token, work.group * 256 + 2 * column, outRows);
                         *reinterpret_cast<uint4*>(to) = eight;
                       }
                     });
                     continue;
                   }
                   float m = kFp8Smallest;
#pragma unroll
                   for (int i = 0; i < 64; i++) {
                     if (i / 2 % 2 == half) {
                       m = fmaxf(m, fabsf(acc[0][i]));
                     }
                   }
                   m = fmaxf(m, __shfl_xor_sync(0xffffffffu, m, 1));
                   m = fmaxf(m, __shfl_xor_sync(0xffffffffu, m, 2));
                   float inverse = __fdiv_rn(kFp8Max, m);
                   int64_t block = static_cast<int64_t>(work.group) * outRows;
#pragma unroll
                   for (int j = 0; j < 16; j++) {
                     uint32_t low = to_fp8(__fmul_rn(acc[0][4 * j + 2 * half], inverse));
                     uint32_t high = to_fp8(__fmul_rn(acc[0][4 * j + 2 * half + 1], inverse));
                     if (inside) {
                       *reinterpret_cast<uint16_t*>(out + block * kRowBytes +
                                                    image_offset(token, 8 * j + 2 * (lane & 3))) =
                           static_cast<uint16_t>(low | (high << 8));
                     }
                   }
                   if ((lane & 3) == 0 && inside) {
                     outScale[block + token] = __fdiv_rn(m, kFp8Max);
                   }
                 }
               });
}
