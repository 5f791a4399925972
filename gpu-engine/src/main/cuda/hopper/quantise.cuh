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
// FP8 quantisation of activations: 128 columns of a row share scale = max(max|x|, 1e-4) / 448;
// q = e4m3(x · (448 / max(max|x|, 1e-4))), round to nearest even.
#pragma once

#include <cuda_fp8.h>

#include "layout.cuh"

namespace moontide {

constexpr float kFp8Max = 448.f;
constexpr float kFp8Smallest = 1e-4f;

__device__ __forceinline__ uint32_t to_fp8(float x) {
  return __nv_cvt_float_to_fp8(x, __NV_SATFINITE, __NV_E4M3);
}

/** One warp quantises a row's 128 columns of a K block: lane l holds columns 4l to 4l + 3. */
__device__ __forceinline__ void quantise_block(
    const float (&x)[4], int64_t row, int kBlock, int lane, uint8_t* out, float* outScale,
    int64_t outRows) {
  float m = fmaxf(fmaxf(fabsf(x[0]), fabsf(x[1])), fmaxf(fabsf(x[2]), fabsf(x[3])));
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    m = fmaxf(m, __shfl_xor_sync(0xffffffffu, m, distance));
  }
  m = fmaxf(m, kFp8Smallest);
  float inverse = __fdiv_rn(kFp8Max, m);
  uint32_t word = 0;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    word |= to_fp8(__fmul_rn(x[i], inverse)) << (8 * i);
  }
  *reinterpret_cast<uint32_t*>(out + kBlock * outRows * kRowBytes + image_offset(row, 4 * lane)) = word;
  if (lane == 0) {
    outScale[kBlock * outRows + row] = __fdiv_rn(m, kFp8Max);
  }
}

}  // namespace moontide
