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
// The arithmetic of attention.cu: two warpgroups over pairs of pages.
#pragma once

#include "attention.cuh"
#include "wgmma.cuh"

namespace moontide {
namespace attention {

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

}  // namespace attention
}  // namespace moontide
