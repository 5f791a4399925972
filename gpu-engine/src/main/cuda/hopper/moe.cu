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
// Rows of a step to their experts and back: integer work in a fixed order, so the same choice of experts gives
// the same places, and no count ever reaches the host.
//
// A slot is one (token, chosen expert). Slots lie by ascending expert, within one by ascending token; each
// expert's first slot is a multiple of 8. An expert appears at most once among a token's.
//   slots      at most tokens · topK + 7 · min(experts, tokens · topK): the panels' capacity in rows, made a
//              multiple of 8
//   row tiles  at most (tokens · topK) / tileRows + min(experts, tokens · topK)
// experts ≤ 1024, topK ≤ 32.
//
//   moe_count    grid ⌈tokens/128⌉, block 256, shared experts · 16 bytes
//                (choice int[tokens][topK], tokens, topK, experts, counts int[grid][experts])
//   moe_scan     grid 1, block 1024, shared none
//                (counts, blocks = ⌈tokens/128⌉, experts, tileRows, tiles RowGroup[], tileCount int[1])
//                counts becomes the first slot of each block's tokens in each expert
//   moe_scatter  grid and block as moe_count, shared experts · 16
//                (choice, weight float[tokens][topK], tokens, topK, experts, counts,
//                slot int[tokens][topK], slotWeight float[tokens][topK]): slot and weight by ascending expert
//   moe_gather   grid (tokens, ⌈kBlocks/8⌉), block 256, shared none
//                (a, aScale, aRows, slot, topK, kBlocks, out, outScale, outRows): copies a token's panel row
//                to its slots
//   moe_combine  grid (tokens, ⌈columns/1024⌉), block 256, shared none
//                (x float[tokens][columns], y bf16[slots][columns], slot, slotWeight, topK, columns):
//                x[t] += Σ weight · y[slot], float32, ascending expert; columns a multiple of 4
#include <cuda_bf16.h>

#include "layout.cuh"

namespace moontide {
namespace moe {

constexpr int kBlockTokens = 128;

/** masks[e] gets a bit per token of the block that chose expert e. */
__device__ __forceinline__ void mark(
    uint32_t* masks, const int* choice, int tokens, int topK, int experts) {
  for (int i = threadIdx.x; i < experts * 4; i += blockDim.x) {
    masks[i] = 0;
  }
  __syncthreads();
  int first = blockIdx.x * kBlockTokens;
  int entries = min(kBlockTokens, tokens - first) * topK;
  for (int i = threadIdx.x; i < entries; i += blockDim.x) {
    int token = i / topK;
    int expert = choice[static_cast<int64_t>(first) * topK + i];
    atomicOr(&masks[expert * 4 + token / 32], 1u << (token % 32));
  }
  __syncthreads();
}

/** Exclusive sum over the block's 1,024 threads of `value`; `total` gets the sum. */
__device__ __forceinline__ int exclusive_sum(int value, int* warpSums, int* total) {
  int lane = threadIdx.x % 32;
  int warp = threadIdx.x / 32;
  int sum = value;
  for (int d = 1; d < 32; d *= 2) {
    int other = __shfl_up_sync(0xffffffffu, sum, d);
    sum += lane >= d ? other : 0;
  }
  if (lane == 31) {
    warpSums[warp] = sum;
  }
  __syncthreads();
  int before = 0;
  int all = 0;
  for (int w = 0; w < 32; w++) {
    before += w < warp ? warpSums[w] : 0;
    all += warpSums[w];
  }
  __syncthreads();
  *total = all;
  return before + sum - value;
}

}  // namespace moe
}  // namespace moontide

extern "C" __global__ void __launch_bounds__(256) moe_count(
    const int* choice, int tokens, int topK, int experts, int* counts) {
  extern __shared__ __align__(16) uint32_t masks[];
  moontide::moe::mark(masks, choice, tokens, topK, experts);
  for (int e = threadIdx.x; e < experts; e += blockDim.x) {
    int count = 0;
    for (int w = 0; w < 4; w++) {
      count += __popc(masks[e * 4 + w]);
    }
    counts[blockIdx.x * experts + e] = count;
  }
}

extern "C" __global__ void __launch_bounds__(1024) moe_scan(
    int* counts, int blocks, int experts, int tileRows, moontide::RowGroup* tiles, int* tileCount) {
  __shared__ int warpSums[32];
  int e = threadIdx.x;
  int rows = 0;
  if (e < experts) {
    for (int b = 0; b < blocks; b++) {
      rows += counts[b * experts + e];
    }
  }
  int total;
  int first = moontide::moe::exclusive_sum((rows + 7) & ~7, warpSums, &total);
  int count = (rows + tileRows - 1) / tileRows;
  int firstTile = moontide::moe::exclusive_sum(count, warpSums, &total);
  if (e == 0) {
    *tileCount = total;
  }
  for (int i = 0; i < count; i++) {
    tiles[firstTile + i] = {e, first, rows, firstTile};
  }
  if (e < experts) {
    for (int b = 0; b < blocks; b++) {
      int count = counts[b * experts + e];
      counts[b * experts + e] = first;
      first += count;
    }
  }
}

extern "C" __global__ void __launch_bounds__(256) moe_scatter(
    const int* choice, const float* weight, int tokens, int topK, int experts, const int* counts,
    int* slot, float* slotWeight) {
  extern __shared__ __align__(16) uint32_t masks[];
  moontide::moe::mark(masks, choice, tokens, topK, experts);
  int first = blockIdx.x * moontide::moe::kBlockTokens;
  int entries = min(moontide::moe::kBlockTokens, tokens - first) * topK;
  for (int i = threadIdx.x; i < entries; i += blockDim.x) {
    int token = i / topK;
    int64_t row = static_cast<int64_t>(first + token) * topK;
    int expert = choice[row + i % topK];
    int at = counts[blockIdx.x * experts + expert];
    for (int w = 0; w < token / 32; w++) {
      at += __popc(masks[expert * 4 + w]);
    }
    at += __popc(masks[expert * 4 + token / 32] & ((1u << (token % 32)) - 1));
    int rank = 0;
    for (int k = 0; k < topK; k++) {
      rank += choice[row + k] < expert;
    }
    slot[row + rank] = at;
    slotWeight[row + rank] = weight[row + i % topK];
  }
}

extern "C" __global__ void __launch_bounds__(256) moe_gather(
    const uint8_t* a, const float* aScale, int aRows, const int* slot, int topK, int kBlocks,
    uint8_t* out, float* outScale, int outRows) {
  int64_t token = blockIdx.x;
  int kBlock = blockIdx.y * 8 + threadIdx.x / 32;
  int lane = threadIdx.x % 32;
  if (kBlock >= kBlocks) {
    return;
  }
  // Lanes 0 to 7 of each quarter hold the row's eight chunks; a quarter takes every fourth slot.
  int chunk = lane % 8;
  uint4 bytes = *reinterpret_cast<const uint4*>(
      a + (static_cast<int64_t>(kBlock) * aRows) * moontide::kRowBytes +
      moontide::image_offset(token, chunk * 16));
  float scale = aScale[static_cast<int64_t>(kBlock) * aRows + token];
  for (int k = lane / 8; k < topK; k += 4) {
    int64_t to = slot[token * topK + k];
    int64_t block = static_cast<int64_t>(kBlock) * outRows;
    *reinterpret_cast<uint4*>(
        out + block * moontide::kRowBytes + moontide::image_offset(to, chunk * 16)) = bytes;
    if (chunk == 0) {
      outScale[block + to] = scale;
    }
  }
}

extern "C" __global__ void __launch_bounds__(256) moe_combine(
    float* x, const __nv_bfloat16* y, const int* slot, const float* slotWeight, int topK,
    int columns) {
  int64_t token = blockIdx.x;
  int column = blockIdx.y * 1024 + threadIdx.x * 4;
  if (column >= columns) {
    return;
  }
  float4* at = reinterpret_cast<float4*>(x + token * columns + column);
  float4 sum = {0.f, 0.f, 0.f, 0.f};
#pragma unroll 8
  for (int k = 0; k < topK; k++) {
    float w = slotWeight[token * topK + k];
    uint2 four = __ldg(reinterpret_cast<const uint2*>(
        y + static_cast<int64_t>(slot[token * topK + k]) * columns + column));
    float2 low = __bfloat1622float2(*reinterpret_cast<__nv_bfloat162*>(&four.x));
    float2 high = __bfloat1622float2(*reinterpret_cast<__nv_bfloat162*>(&four.y));
    sum.x = __fmaf_rn(w, low.x, sum.x);
    sum.y = __fmaf_rn(w, low.y, sum.y);
    sum.z = __fmaf_rn(w, high.x, sum.z);
    sum.w = __fmaf_rn(w, high.y, sum.w);
  }
  float4 old = *at;
  *at = {old.x + sum.x, old.y + sum.y, old.z + sum.z, old.w + sum.w};
}
