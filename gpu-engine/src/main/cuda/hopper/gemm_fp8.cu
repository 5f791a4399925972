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
// FP8 products with 128 × 128 block scales, grouped by expert: out[r] = W[expert(r)] · a[r].
//
// Arithmetic, the same in every kernel here whatever the tile, so that a row's bits are its own: for each K
// block of 128 in ascending order four wgmma of K = 32 into a zeroed float32 sum c, then
// acc = fma(c, aScale · wScale, acc).
//
// Launch: grid = the multiprocessors (blocks loop over tiles), block = 384 threads (two warpgroups multiply, one
// warp copies), dynamic shared memory by the table, which the function must first be allowed to use.
//   kernel suffix   rows a tile   dynamic shared memory in bytes: gate_up   linear
//   _16             16                                            213,456   223,152
//   _32             32                                            228,176   227,872
//   _64             64                                            217,408   224,640
//   _128            128                                           216,112   199,728
// Pick the suffix by the step's rows per group (up to 16, 32, 64, more): it changes time, never bits.
//
// Arguments common to all, in order:
//   a, aScale   panel of activations (layout.cuh) and its scales; both 128-byte aligned
//   aRows       the panel's capacity in rows, a multiple of 8
//   w, wScale   weight tiles; expert e starts at e · featureTiles · kBlocks tiles
//   tiles       groups of rows, an entry a tile of the suffix's rows (RowGroup in layout.cuh), as moe_scan lists them
//               for that number of rows; or null: rows 0 to `rows` of expert 0
//   tileCount   device pointer to the number of tiles; unused when tiles is null
//   rows        rows when tiles is null
//   kBlocks     ⌈K / 128⌉
//   featureTiles  row tiles of w for one expert, even
// Rows outside the tiles are neither read nor written (scales are read in whole groups of four rows).

#include "gemm_fp8.cuh"
#include "quantise.cuh"
#include "store.cuh"

namespace moontide {
namespace fp8 {

/** silu(gate) · up, the same instructions wherever it is computed. */
__device__ __forceinline__ float swiglu(float gate, float up) {
  return __fdividef(__fmul_rn(gate, up), __fadd_rn(1.f, __expf(-gate)));
}

/**
 * gate‖up with SwiGLU and quantisation. A weight tile pair is (gate tile f, up tile f): `featureTiles` counts
 * both. `out` panel: K block f is features 128f to 128f + 127 of the product, `outScale` its scales.
 */
template <int Rows>
struct GateUp {
  // Output image and, swapped, the maxima of eight warps.
  static constexpr int kExtra = Rows * kRowBytes + (Rows < 128 ? 1024 * ((8 * Rows * 4 + 1023) / 1024) : 0);
  using S = Shape<Rows, 2, kExtra>;

  char* base;
  uint8_t* out;
  float* outScale;
  int64_t outRows;

  __device__ __forceinline__ void operator()(
      float (&acc)[2][Rows / 2], const Work& work, int group, int warp, int lane) const {
    char* image = base + S::kExtraAt;
    int64_t at = work.feature * outRows + work.row;
    if constexpr (S::kSwapped) {
      float* maxima = reinterpret_cast<float*>(image + Rows * kRowBytes);
      int column = 2 * (lane & 3);
#pragma unroll
      for (int i = 0; i < Rows / 2; i++) {
        acc[0][i] = swiglu(acc[0][i], acc[1][i]);
      }
      if (threadIdx.x == 0) {
        bulk_wait_read();
      }
#pragma unroll
      for (int j = 0; j < Rows / 8; j++) {
#pragma unroll
        for (int i = 0; i < 2; i++) {
          float m = fmaxf(fabsf(acc[0][4 * j + i]), fabsf(acc[0][4 * j + 2 + i]));
#pragma unroll
          for (int distance = 4; distance < 32; distance *= 2) {
            m = fmaxf(m, __shfl_xor_sync(0xffffffffu, m, distance));
          }
          if (lane < 4) {
            maxima[(group * 4 + warp) * Rows + 8 * j + column + i] = m;
          }
        }
      }
      named_barrier(1, kMathThreads);
      int feature = group * 64 + warp * 16 + lane / 4;
#pragma unroll
      for (int j = 0; j < Rows / 8; j++) {
#pragma unroll
        for (int i = 0; i < 2; i++) {
          int row = 8 * j + column + i;
          float m = kFp8Smallest;
#pragma unroll
          for (int part = 0; part < 8; part++) {
            m = fmaxf(m, maxima[part * Rows + row]);
          }
          float inverse = __fdiv_rn(kFp8Max, m);
          image[image_offset(row, feature)] = to_fp8(__fmul_rn(acc[0][4 * j + i], inverse));
          image[image_offset(row, feature + 8)] = to_fp8(__fmul_rn(acc[0][4 * j + 2 + i], inverse));
          if (group == 0 && warp == 0 && lane < 4 && row < work.rows) {
            outScale[at + row] = __fdiv_rn(m, kFp8Max);
          }
        }
      }
      shared_proxy_fence();
      named_barrier(1, kMathThreads);
      if (threadIdx.x == 0) {
        bulk_store(out + at * kRowBytes, shared_address(image), work.rows * kRowBytes);
        bulk_commit();
      }
    } else {
      int thread = threadIdx.x % 128;
      float m[2] = {kFp8Smallest, kFp8Smallest};
#pragma unroll
      for (int i = 0; i < 64; i++) {
        acc[0][i] = swiglu(acc[0][i], acc[1][i]);
        m[(i / 2) % 2] = fmaxf(m[(i / 2) % 2], fabsf(acc[0][i]));
      }
      if (thread == 0) {
        bulk_wait_read();
      }
      named_barrier(group == 0 ? 1 : 2, 128);
      int row = group * 64 + warp * 16 + lane / 4;
#pragma unroll
      for (int half = 0; half < 2; half++) {
        m[half] = fmaxf(m[half], __shfl_xor_sync(0xffffffffu, m[half], 1));
        m[half] = fmaxf(m[half], __shfl_xor_sync(0xffffffffu, m[half], 2));
        float inverse = __fdiv_rn(kFp8Max, m[half]);
#pragma unroll
        for (int j = 0; j < 16; j++) {
          uint32_t low = to_fp8(__fmul_rn(acc[0][4 * j + 2 * half], inverse));
          uint32_t high = to_fp8(__fmul_rn(acc[0][4 * j + 2 * half + 1], inverse));
          *reinterpret_cast<uint16_t*>(image + image_offset(row + 8 * half, 8 * j + 2 * (lane & 3))) =
              low | (high << 8);
        }
        if ((lane & 3) == 0 && row + 8 * half < work.rows) {
          outScale[at + row + 8 * half] = __fdiv_rn(m[half], kFp8Max);
        }
      }
      shared_proxy_fence();
      named_barrier(group == 0 ? 1 : 2, 128);
      int rows = min(64, work.rows - group * 64);
      if (thread == 0 && rows > 0) {
        bulk_store(out + (at + group * 64) * kRowBytes, shared_address(image) + group * kTileBytes / 2,
                   rows * kRowBytes);
        bulk_commit();
      }
    }
  }
};

/** Plain product, stored as RowStore says. */
template <int Rows>
struct Linear {
  // With weights as M a block takes one tile, so that few rows still make many blocks.
  static constexpr int kPair = Rows < 128 ? 1 : 2;
  using S = Shape<Rows, kPair, 0>;

  RowStore to;

  __device__ __forceinline__ void operator()(
      float (&acc)[kPair][Rows / 2], const Work& work, int group, int warp, int lane) const {
    int64_t first = to.first(work.split, work.row);
    if constexpr (S::kSwapped) {
      int feature = work.feature * 128 + group * 64 + warp * 16 + lane / 4;
#pragma unroll
      for (int j = 0; j < Rows / 8; j++) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
          int row = 8 * j + 2 * (lane & 3) + (i & 1);
          int f = feature + 8 * (i / 2);
          if (row < work.rows && f < to.columns) {
            to.one((first + row) * to.stride + f, acc[0][4 * j + i]);
          }
        }
      }
    } else {
      int row = group * 64 + warp * 16 + lane / 4;
#pragma unroll
      for (int p = 0; p < kPair; p++) {
        to.warp_tile(acc[p], first + row, (work.feature * kPair + p) * 128, row < work.rows,
                     row + 8 < work.rows, lane);
      }
    }
  }
};

}  // namespace fp8
}  // namespace moontide

// gate_up_R(a, aScale, aRows, w, wScale, tiles, tileCount, rows, kBlocks, featureTiles, out, outScale, outRows)
//   w: gate tile f at row tile 2f, up tile f at 2f + 1. out: panel of capacity outRows, at the same rows.
#define MOONTIDE_GATE_UP(R)                                                                            \
  extern "C" __global__ void __launch_bounds__(384, 1) gate_up_##R(                                    \
      const uint8_t* a, const float* aScale, int aRows, const uint8_t* w, const float* wScale,         \
      const moontide::RowGroup* tiles, const int* tileCount, int rows, int kBlocks, int featureTiles,   \
      uint8_t* out, float* outScale, int outRows) {                                                    \
    extern __shared__ __align__(16) char raw[];                                                        \
    using namespace moontide::fp8;                                                                     \
    char* base = moontide::aligned_shared(raw);                                                                  \
    Operands operands = {a, aScale, aRows, w, wScale, kBlocks, featureTiles};                          \
    Schedule schedule = schedule_of(tiles, tileCount, rows, R, featureTiles / 2, 1, kBlocks);          \
    run<GateUp<R>::S, R, 2>(operands, schedule, base, GateUp<R>{base, out, outScale, outRows});        \
  }

// linear_R(a, aScale, aRows, w, wScale, tiles, tileCount, rows, kBlocks, featureTiles, splits, out, store,
//          columns, stride, outRows)
//   splits: pieces of K, each its own sum (store 1 only, else 1); a property of the weight, never of the rows.
//   store 0: bf16 out[row · stride + feature]; 1: float32 out[(split · outRows + row) · stride + feature];
//   2: float32 out[row · stride + feature] += sum. Features from `columns` on are not stored.
#define MOONTIDE_LINEAR(R)                                                                             \
  extern "C" __global__ void __launch_bounds__(384, 1) linear_##R(                                     \
      const uint8_t* a, const float* aScale, int aRows, const uint8_t* w, const float* wScale,         \
      const moontide::RowGroup* tiles, const int* tileCount, int rows, int kBlocks, int featureTiles,   \
      int splits, void* out, int store, int columns, int stride, int outRows) {                        \
    extern __shared__ __align__(16) char raw[];                                                        \
    using namespace moontide::fp8;                                                                     \
    char* base = moontide::aligned_shared(raw);                                                                  \
    Operands operands = {a, aScale, aRows, w, wScale, kBlocks, featureTiles};                          \
    Schedule schedule =                                                                                \
        schedule_of(tiles, tileCount, rows, R, featureTiles / Linear<R>::kPair, splits, kBlocks);      \
    run<Linear<R>::S, R, Linear<R>::kPair>(operands, schedule, base,                                   \
                                           Linear<R>{{out, store, columns, stride, outRows}});           \
  }

MOONTIDE_GATE_UP(16)
MOONTIDE_GATE_UP(32)
MOONTIDE_GATE_UP(64)
MOONTIDE_GATE_UP(128)
MOONTIDE_LINEAR(16)
MOONTIDE_LINEAR(32)
MOONTIDE_LINEAR(64)
MOONTIDE_LINEAR(128)
