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

namespace moontide {

/** What becomes of a sum; the number is a kernel argument. */
enum Store { kBf16 = 0, kFloat = 1, kAdd = 2 };

__device__ __forceinline__ uint32_t pack_bf16(float low, float high) {
  __nv_bfloat162 both = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<uint32_t*>(&both);
}

/**
 * Visits one row of a warp's accumulators (wgmma.cuh; `half` 0 or 1 of the two a thread has) as bf16:
 * neighbouring lanes swap halves, so that four lanes hold 32 consecutive bytes. `to(column, low, high)` gets
 * four columns from `column`, a multiple of 4.
 */
template <int Size, class To>
__device__ __forceinline__ void visit_bf16(const float (&acc)[Size], int half, int lane, To to) {
  bool odd = lane & 1;
#pragma unroll
  for (int j = 0; j < Size / 4; j += 2) {
    uint32_t even2 = pack_bf16(acc[4 * j + 2 * half], acc[4 * j + 2 * half + 1]);
    uint32_t odd2 = pack_bf16(acc[4 * j + 4 + 2 * half], acc[4 * j + 5 + 2 * half]);
    uint32_t other = __shfl_xor_sync(0xffffffffu, odd ? even2 : odd2, 1);
    to(8 * (j + odd) + 2 * (lane & 2), odd ? other : even2, odd ? odd2 : other);
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
    } else {
      float* to = static_cast<float*>(out) + at;
      *to = store == kAdd ? *to + x : x;
    }
  }

  /** A warp's 16 × 128 sums: row `row` is this thread's first, of which `valid` and `valid8` (8 on) count. */
  __device__ __forceinline__ void warp_tile(
      const float (&acc)[64], int64_t row, int feature, bool valid, bool valid8, int lane) const {
    bool whole = feature + 128 <= columns && stride % 4 == 0;
#pragma unroll
    for (int half = 0; half < 2; half++) {
      // No lane leaves early: neighbours trade halves below.
      bool inside = half == 0 ? valid : valid8;
      int64_t to = (row + 8 * half) * stride + feature;
      if (store == kBf16) {
        bf16_row(acc, half, to, feature, inside, whole, lane);
      } else if (inside && whole) {
        float_row(acc, half, static_cast<float*>(out) + to + 2 * (lane & 3));
      } else if (inside) {
#pragma unroll
        for (int j = 0; j < 16; j++) {
          two(to, feature, 8 * j + 2 * (lane & 3), acc[4 * j + 2 * half], acc[4 * j + 2 * half + 1]);
        }
      }
    }
  }

  __device__ __forceinline__ void bf16_row(
      const float (&acc)[64], int half, int64_t to, int feature, bool inside, bool whole, int lane) const {
    visit_bf16(acc, half, lane, [&](int column, uint32_t low, uint32_t high) {
      if (inside && whole) {
        *reinterpret_cast<uint2*>(static_cast<uint16_t*>(out) + to + column) = {low, high};
      } else if (inside) {
        four(to, feature, column, low, high);
      }
    });
  }

  /** Sixteen pairs, 8 numbers apart; four are read before they are written. */
  __device__ __forceinline__ void float_row(const float (&acc)[64], int half, float* to) const {
    if (store == kAdd) {
#pragma unroll
      for (int j = 0; j < 16; j += 4) {
        float2 old[4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
          old[i] = *reinterpret_cast<const float2*>(to + 8 * (j + i));
        }
#pragma unroll
        for (int i = 0; i < 4; i++) {
          int at = 4 * (j + i) + 2 * half;
          *reinterpret_cast<float2*>(to + 8 * (j + i)) = {old[i].x + acc[at], old[i].y + acc[at + 1]};
        }
      }
    } else {
#pragma unroll
      for (int j = 0; j < 16; j++) {
        *reinterpret_cast<float2*>(to + 8 * j) = {acc[4 * j + 2 * half], acc[4 * j + 2 * half + 1]};
      }
    }
  }

  __device__ __forceinline__ void two(int64_t to, int feature, int column, float low, float high) const {
    if (stride % 2 == 0 && feature + column + 1 < columns) {
      float2* at = reinterpret_cast<float2*>(static_cast<float*>(out) + to + column);
      if (store == kAdd) {
        float2 old = *at;
        low += old.x;
        high += old.y;
      }
      *at = {low, high};
    } else {
      if (feature + column < columns) {
        one(to + column, low);
      }
      if (feature + column + 1 < columns) {
        one(to + column + 1, high);
      }
    }
  }

  __device__ __forceinline__ void four(
      int64_t to, int feature, int column, uint32_t low, uint32_t high) const {
    uint16_t* at = static_cast<uint16_t*>(out) + to + column;
    if (stride % 4 == 0 && feature + column + 3 < columns) {
      *reinterpret_cast<uint2*>(at) = {low, high};
    } else {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        if (feature + column + i < columns) {
          at[i] = static_cast<uint16_t>((i < 2 ? low : high) >> (16 * (i & 1)));
        }
      }
    }
  }
};

}  // namespace moontide
