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
// Sums of a product to row-major rows, or bf16 pairs to where a caller wants them.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

#include "ptx.cuh"

namespace moontide {

/** What becomes of a sum; the number is a kernel argument. */
enum Store { kBf16 = 0, kFloat = 1, kAdd = 2 };

__device__ __forceinline__ uint32_t pack_bf16(float low, float high) {
  __nv_bfloat162 both = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<uint32_t*>(&both);
}

/**
 * Visits one row of a warp's accumulators (wgmma.cuh; `half` 0 or 1 of the two a thread has) as bf16: four lanes, which
 * have pairs of each piece of eight columns, trade them until each has whole pieces. `to(column, eight)` gets eight
 * columns from `column`, a multiple of 8.
 */
template <int Size, class To>
__device__ __forceinline__ void visit_bf16(const float (&acc)[Size], int half, int lane, To to) {
  bool odd = lane & 1;
  bool upper = lane & 2;
#pragma unroll
  for (int j = 0; j < Size / 4; j += 4) {
    uint32_t w[4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
      w[i] = pack_bf16(acc[4 * (j + i) + 2 * half], acc[4 * (j + i) + 2 * half + 1]);
    }
    // Neighbours first: then an even lane has two pairs each of pieces 0 and 2, an odd one of 1 and 3.
    uint32_t x = __shfl_xor_sync(0xffffffffu, odd ? w[0] : w[1], 1);
    uint32_t y = __shfl_xor_sync(0xffffffffu, odd ? w[2] : w[3], 1);
    uint2 near = odd ? uint2{x, w[1]} : uint2{w[0], x};
    uint2 far = odd ? uint2{y, w[3]} : uint2{w[2], y};
    x = __shfl_xor_sync(0xffffffffu, upper ? near.x : far.x, 2);
    y = __shfl_xor_sync(0xffffffffu, upper ? near.y : far.y, 2);
    to(8 * (j + (lane & 3)), upper ? uint4{x, y, far.x, far.y} : uint4{near.x, near.y, x, y});
  }
}

/** The same as float32: `to(column, four)` gets four columns from `column`, a multiple of 4. */
template <int Size, class To>
__device__ __forceinline__ void visit_float(const float (&acc)[Size], int half, int lane, To to) {
  bool odd = lane & 1;
#pragma unroll
  for (int j = 0; j < Size / 4; j += 2) {
    const float* near = acc + 4 * j + 2 * half;
    const float* far = near + 4;
    float x = __shfl_xor_sync(0xffffffffu, odd ? near[0] : far[0], 1);
    float y = __shfl_xor_sync(0xffffffffu, odd ? near[1] : far[1], 1);
    to(8 * (j + odd) + 2 * (lane & 2), odd ? float4{x, y, far[0], far[1]} : float4{near[0], near[1], x, y});
  }
}

/**
 * Rows of `columns` numbers, `stride` apart. `store` 0: bf16; 1: float32, piece `split` of K beginning at row
 * split · rows; 2: float32, added to what is there.
 */
struct RowStore {
  void* out;
  int store;
  int columns;
  int64_t stride;
  int64_t rows;

  /** Row of `out` for row `row` of piece `split`. */
  __device__ __forceinline__ int64_t first(int split, int row) const {
    return store == kFloat ? split * rows + row : row;
  }

  __device__ __forceinline__ void one(int64_t at, float x) const {
    if (store == kBf16) {
      static_cast<__nv_bfloat16*>(out)[at] = __float2bfloat16_rn(x);
    } else if (store == kFloat) {
      static_cast<float*>(out)[at] = x;
    } else {
      global_add(static_cast<float*>(out) + at, x);
    }
  }

  /** A warp's 16 × 128 sums: row `row` is this thread's first, of which `valid` and `valid8` (8 on) count. */
  __device__ __forceinline__ void warp_tile(
      const float (&acc)[64], int64_t row, int feature, bool valid, bool valid8, int lane) const {
    bool whole = feature + 128 <= columns && stride % 8 == 0;
#pragma unroll
    for (int half = 0; half < 2; half++) {
      // No lane leaves early: neighbours trade below.
      bool inside = half == 0 ? valid : valid8;
      int64_t first = (row + 8 * half) * stride + feature;
      if (!whole) {
#pragma unroll
        for (int i = 0; i < 32; i++) {
          int column = i / 2 * 8 + 2 * (lane & 3) + (i & 1);
          if (inside && feature + column < columns) {
            one(first + column, acc[i / 2 * 4 + 2 * half + (i & 1)]);
          }
        }
      } else if (store == kBf16) {
        visit_bf16(acc, half, lane, [&](int column, uint4 eight) {
          if (inside) {
            *reinterpret_cast<uint4*>(static_cast<uint16_t*>(out) + first + column) = eight;
          }
        });
      } else {
        visit_float(acc, half, lane, [&](int column, float4 four) {
          float* to = static_cast<float*>(out) + first + column;
          if (inside && store == kAdd) {
            global_add(to, four);
          } else if (inside) {
            *reinterpret_cast<float4*>(to) = four;
          }
        });
      }
    }
  }
};

}  // namespace moontide
