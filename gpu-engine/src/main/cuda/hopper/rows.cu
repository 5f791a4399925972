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
// What happens to a row between products: norms into panels, rotary embedding, the latent cache. One block a row;
// sums in a fixed order, so a row's bits are its own.
//
//   rms_norm         grid rows, block 256, shared 4 · columns
//     (x, xStride, parts, splits, splitStride, partStride, columns, gain, epsilon, xOut, fp8, fp8Scale, high, low,
//     outRows)
//     v = x[r · xStride + i] + Σ_s parts[s · splitStride + r · partStride + i], s ascending; x or parts may be null
//     xOut     null, or [rows][columns]: v itself (x may be the same memory)
//     then v / √(mean v² + epsilon) · gain, to what is not null of: an FP8 panel with scales (quantise.cuh); a
//     bf16 panel `high`; a bf16 panel `low` of what rounding to `high` lost. Panels of capacity outRows, zeros up
//     to the end of the last K block.
//   append_latent    grid tokens, block 128, shared none
//     (parts, splits, splitStride, partStride, from, gain, epsilon, cosSin float2[positions][32],
//     position int[tokens], slot int[tokens], cache)
//     columns `from` to from + 511 of the summed parts are the latent, normed; the next 64 the key, rotated; both
//     rounded to bf16 into entry slot % 64 of page slot / 64 of the layer's `cache`
//   prepare_queries  grid tokens, block 256, shared none
//     (q bf16[][stride], stride, cosSin, position, numbers, heads, panel, panelRows, images)
//     row t is of q's row numbers[t], or t without them (null)
//     per head 128 nope columns and 64 rotated ones. With images: the former to K blocks 2h and 2h + 1 of `panel`, for
//     query_absorb, the latter to slab 8 of the queries (layout.cuh). Without (null): all to K blocks 3h to 3h + 2, for
//     attend_prompt
//   copy_entries     grid ⌈count/8⌉, block 256, shared none
//     (cache, fromSlot int[], toSlot int[], count): entries of the layer's cache; no slot is both
// Rotation: pair (2i, 2i + 1) by the angle whose (cos, sin), with yarn's factor, is cosSin[position][i].
#include <cuda_bf16.h>

#include "layout.cuh"
#include "quantise.cuh"
#include "store.cuh"

namespace moontide {
namespace rows {

/** Sum over the block, the same in every thread; `Warps` warps. */
template <int Warps>
__device__ __forceinline__ float block_sum(float x, float* warpSums) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    x = __fadd_rn(x, __shfl_xor_sync(0xffffffffu, x, distance));
  }
  if (threadIdx.x % 32 == 0) {
    warpSums[threadIdx.x / 32] = x;
  }
  __syncthreads();
  float sum = warpSums[0];
#pragma unroll
  for (int w = 1; w < Warps; w++) {
    sum = __fadd_rn(sum, warpSums[w]);
  }
  return sum;
}

/** Four columns from `column` of a row, zeros beyond `columns`. */
__device__ __forceinline__ float4 four(const float* row, int column, int columns, bool aligned) {
  if (aligned && column + 3 < columns) {
    return *reinterpret_cast<const float4*>(row + column);
  }
  return {column < columns ? row[column] : 0.f, column + 1 < columns ? row[column + 1] : 0.f,
          column + 2 < columns ? row[column + 2] : 0.f, column + 3 < columns ? row[column + 3] : 0.f};
}

__device__ __forceinline__ void add(float4& sum, float4 x) {
  sum = {__fadd_rn(sum.x, x.x), __fadd_rn(sum.y, x.y), __fadd_rn(sum.z, x.z), __fadd_rn(sum.w, x.w)};
}

__device__ __forceinline__ float squares(float4 v) {
  return __fmaf_rn(v.w, v.w, __fmaf_rn(v.z, v.z, __fmaf_rn(v.y, v.y, __fmul_rn(v.x, v.x))));
}

/** The pair (a, b) turned by the angle of (cos, sin). */
__device__ __forceinline__ uint32_t rotate(float a, float b, float2 turn) {
  return pack_bf16(__fmaf_rn(a, turn.x, -__fmul_rn(b, turn.y)), __fmaf_rn(a, turn.y, __fmul_rn(b, turn.x)));
}

}  // namespace rows
}  // namespace moontide

extern "C" __global__ void __launch_bounds__(256) rms_norm(
    const float* x, long long xStride, const float* parts, int splits, long long splitStride,
    long long partStride, int columns, const float* gain, float epsilon, float* xOut, uint8_t* fp8,
    float* fp8Scale, uint8_t* high, uint8_t* low, int outRows) {
  using namespace moontide;
  using namespace moontide::rows;
  extern __shared__ __align__(16) float row[];
  __shared__ float warpSums[8];
  int64_t r = blockIdx.x;
  bool aligned = ((xStride | splitStride | partStride | columns) & 3) == 0;
  float sum = 0.f;
  for (int column = 4 * threadIdx.x; column < columns; column += 1024) {
    float4 v = {0.f, 0.f, 0.f, 0.f};
    if (x != nullptr) {
      v = four(x + r * xStride, column, columns, aligned);
    }
    for (int s = 0; s < splits; s++) {
      add(v, four(parts + s * splitStride + r * partStride, column, columns, aligned));
    }
    sum = __fadd_rn(sum, squares(v));
    const float out[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
    for (int i = 0; i < 4; i++) {
      if (column + i < columns) {
        row[column + i] = out[i];
        if (xOut != nullptr) {
          xOut[r * columns + column + i] = out[i];
        }
      }
    }
  }
  float total = block_sum<8>(sum, warpSums);
  float factor = __frsqrt_rn(__fadd_rn(__fdiv_rn(total, static_cast<float>(columns)), epsilon));
  int lane = threadIdx.x % 32;
  int kBlocks = (columns + 127) / 128;
  for (int kBlock = threadIdx.x / 32; kBlock < kBlocks; kBlock += 8) {
    int column = kBlock * 128 + 4 * lane;
    float v[4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
      v[i] = column + i < columns ? __fmul_rn(__fmul_rn(row[column + i], factor), gain[column + i]) : 0.f;
    }
    if (fp8 != nullptr) {
      quantise_block(v, r, kBlock, lane, fp8, fp8Scale, outRows);
    }
    if (high != nullptr && column < ((columns + 63) & ~63)) {
      int64_t at = panel_offset(r, 2 * column, outRows);
      uint2 word = {pack_bf16(v[0], v[1]), pack_bf16(v[2], v[3])};
      *reinterpret_cast<uint2*>(high + at) = word;
      if (low != nullptr) {
        float2 first = __bfloat1622float2(*reinterpret_cast<__nv_bfloat162*>(&word.x));
        float2 second = __bfloat1622float2(*reinterpret_cast<__nv_bfloat162*>(&word.y));
        *reinterpret_cast<uint2*>(low + at) = {pack_bf16(v[0] - first.x, v[1] - first.y),
                                               pack_bf16(v[2] - second.x, v[3] - second.y)};
      }
    }
  }
}

extern "C" __global__ void __launch_bounds__(128) append_latent(
    const float* parts, int splits, long long splitStride, long long partStride, int from,
    const float* gain, float epsilon, const float2* cosSin, const int* position, const int* slot,
    uint8_t* cache) {
  using namespace moontide;
  using namespace moontide::rows;
  __shared__ float warpSums[4];
  int64_t token = blockIdx.x;
  const float* row = parts + token * partStride + from;
  bool aligned = ((splitStride | partStride | from) & 3) == 0;
  int column = 4 * threadIdx.x;
  float4 v = {0.f, 0.f, 0.f, 0.f};
  for (int s = 0; s < splits; s++) {
    add(v, four(row + s * splitStride, column, 512, aligned));
  }
  float total = block_sum<4>(squares(v), warpSums);
  float factor = __frsqrt_rn(__fadd_rn(__fdiv_rn(total, 512.f), epsilon));
  float4 g = four(gain, column, 512, true);
  uint8_t* page = cache + static_cast<int64_t>(slot[token] / kPageTokens) * kPageBytes;
  int entry = slot[token] % kPageTokens;
  *reinterpret_cast<uint2*>(page + page_offset(entry, column)) = {
      pack_bf16(__fmul_rn(__fmul_rn(v.x, factor), g.x), __fmul_rn(__fmul_rn(v.y, factor), g.y)),
      pack_bf16(__fmul_rn(__fmul_rn(v.z, factor), g.z), __fmul_rn(__fmul_rn(v.w, factor), g.w))};
  if (threadIdx.x < 32) {
    int pair = 2 * threadIdx.x;
    float a = 0.f;
    float b = 0.f;
    for (int s = 0; s < splits; s++) {
      a = __fadd_rn(a, row[s * splitStride + 512 + pair]);
      b = __fadd_rn(b, row[s * splitStride + 512 + pair + 1]);
    }
    float2 turn = cosSin[static_cast<int64_t>(position[token]) * 32 + threadIdx.x];
    *reinterpret_cast<uint32_t*>(page + page_offset(entry, 512 + pair)) = rotate(a, b, turn);
  }
}

extern "C" __global__ void __launch_bounds__(256) prepare_queries(
    const __nv_bfloat16* q, int stride, const float2* cosSin, const int* position, const int* numbers, int heads,
    uint8_t* panel, int panelRows, uint8_t* images) {
  using namespace moontide;
  int64_t token = blockIdx.x;
  int64_t queryRow = numbers != nullptr ? numbers[token] : token;
  int lane = threadIdx.x % 32;
  float2 turn = cosSin[static_cast<int64_t>(position[token]) * 32 + lane];
  int perToken = (heads + 63) / 64;
  int headBytes = (images != nullptr ? 2 : 3) * kRowBytes;
#pragma unroll 4
  for (int head = threadIdx.x / 32; head < heads; head += 8) {
    const __nv_bfloat16* from = q + queryRow * stride + head * 192;
    *reinterpret_cast<uint2*>(panel + panel_offset(token, head * headBytes + 8 * lane, panelRows)) =
        *reinterpret_cast<const uint2*>(from + 4 * lane);
    float2 pair = __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162*>(from + 128 + 2 * lane));
    uint8_t* to = images != nullptr ? images + (token * perToken + head / 64) * kPageBytes +
                                          page_offset(head % 64, 512 + 2 * lane)
                                    : panel + panel_offset(token, head * headBytes + 256 + 4 * lane, panelRows);
    *reinterpret_cast<uint32_t*>(to) = rows::rotate(pair.x, pair.y, turn);
  }
}

extern "C" __global__ void __launch_bounds__(256) copy_entries(
    uint8_t* cache, const int* fromSlot, const int* toSlot, int count) {
  using namespace moontide;
  int i = blockIdx.x * 8 + threadIdx.x / 32;
  if (i >= count) {
    return;
  }
  const uint8_t* from = cache + static_cast<int64_t>(fromSlot[i] / kPageTokens) * kPageBytes;
  uint8_t* to = cache + static_cast<int64_t>(toSlot[i] / kPageTokens) * kPageBytes;
  for (int column = 8 * (threadIdx.x % 32); column < 576; column += 256) {
    *reinterpret_cast<uint4*>(to + page_offset(toSlot[i] % kPageTokens, column)) =
        *reinterpret_cast<const uint4*>(from + page_offset(fromSlot[i] % kPageTokens, column));
  }
}
