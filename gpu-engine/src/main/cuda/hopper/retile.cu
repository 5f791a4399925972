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
// From row-major numbers to the images of layout.cuh.
//
// Weights: one launch a matrix, grid (kBlocks, row tiles to write), block 256, no dynamic shared memory. Row
// tile i of the matrix becomes row tile tileFirst + i · tileStep of `out`; rows and columns beyond the matrix
// become zeros (ask for one more row tile where the total is odd). Stacked matrices (q_a above kv_a) give
// tileFirst, interleaved ones (gate and up) tileFirst 0 and 1 with tileStep 2.
//   retile_fp8   (from u8[rows][columns], scales float[⌈rows/128⌉][⌈columns/128⌉], rows, columns, out,
//                outScales, kBlocks = ⌈columns/128⌉, tileFirst, tileStep)
//   retile_bf16  (from bf16, rowStride, columnStride in elements, rows, columns, out, kBlocks = ⌈columns/64⌉,
//                tileFirst, tileStep); a transposed matrix has rowStride 1
//   dequantise_fp8  grid (⌈columns/1024⌉, rows), block 256
//                (from, scales as above, columns, out bf16[rows][columns]): q · scale, rounded once
// Activations: grid rows, block 256.
//   quantise_rows   (from bf16 or float by `isFloat`, stride, rows, columns, out panel, outScale, outRows)
//   tile_rows_bf16  (from, isFloat, stride, rows, columns, out panel, outRows): 64 columns to a K block
// Both zero the columns from `columns` to the end of the last K block.
#include <cuda_bf16.h>
#include <cuda_fp8.h>

#include "layout.cuh"
#include "quantise.cuh"

extern "C" __global__ void __launch_bounds__(256) retile_fp8(
    const uint8_t* from, const float* scales, int rows, int columns, uint8_t* out, float* outScales,
    int kBlocks, int tileFirst, int tileStep) {
  using namespace moontide;
  int kBlock = blockIdx.x;
  int64_t tile = (static_cast<int64_t>(tileFirst) + static_cast<int64_t>(blockIdx.y) * tileStep) * kBlocks + kBlock;
  bool aligned = columns % 16 == 0;
  for (int i = threadIdx.x; i < kTileBytes / 16; i += blockDim.x) {
    int row = blockIdx.y * kTileRows + i / 8;
    int column = kBlock * 128 + (i % 8) * 16;
    uint4 bytes = {0, 0, 0, 0};
    const uint8_t* at = from + static_cast<int64_t>(row) * columns + column;
    if (row < rows && aligned && column < columns) {
      bytes = __ldg(reinterpret_cast<const uint4*>(at));
    } else if (row < rows) {
      uint32_t words[4] = {0, 0, 0, 0};
#pragma unroll
      for (int b = 0; b < 16; b++) {
        words[b / 4] |= (column + b < columns ? static_cast<uint32_t>(at[b]) : 0u) << (b % 4 * 8);
      }
      bytes = {words[0], words[1], words[2], words[3]};
    }
    *reinterpret_cast<uint4*>(out + tile * kTileBytes + image_offset(i / 8, (i % 8) * 16)) = bytes;
  }
  if (threadIdx.x == 0) {
    bool inside = blockIdx.y * kTileRows < rows;
    outScales[tile] = inside ? scales[blockIdx.y * kBlocks + kBlock] : 0.f;
  }
}

extern "C" __global__ void __launch_bounds__(256) retile_bf16(
    const uint16_t* from, long long rowStride, long long columnStride, int rows, int columns,
    uint8_t* out, int kBlocks, int tileFirst, int tileStep) {
  using namespace moontide;
  int kBlock = blockIdx.x;
  int64_t tile = (static_cast<int64_t>(tileFirst) + static_cast<int64_t>(blockIdx.y) * tileStep) * kBlocks + kBlock;
  // A transposed source is read along its rows, so that a warp still reads one piece.
  bool transposed = rowStride == 1 && columnStride != 1;
  for (int i = threadIdx.x; i < kTileRows * 64; i += blockDim.x) {
    int r = transposed ? i % kTileRows : i / 64;
    int c = transposed ? i / kTileRows : i % 64;
    int row = blockIdx.y * kTileRows + r;
    int column = kBlock * 64 + c;
    uint16_t value = 0;
    if (row < rows && column < columns) {
      value = __ldg(from + row * rowStride + column * columnStride);
    }
    *reinterpret_cast<uint16_t*>(out + tile * kTileBytes + image_offset(r, 2 * c)) = value;
  }
}

extern "C" __global__ void __launch_bounds__(256) dequantise_fp8(
    const uint8_t* from, const float* scales, int columns, __nv_bfloat16* out) {
  int row = blockIdx.y;
  int blocks = (columns + 127) / 128;
  for (int i = 0; i < 4; i++) {
    int column = blockIdx.x * 1024 + i * 256 + threadIdx.x;
    if (column < columns) {
      int64_t at = static_cast<int64_t>(row) * columns + column;
      __nv_fp8_e4m3 q;
      q.__x = from[at];
      out[at] = __float2bfloat16_rn(static_cast<float>(q) * scales[(row / 128) * blocks + column / 128]);
    }
  }
}

namespace moontide {

__device__ __forceinline__ float element(const void* from, int isFloat, int64_t at) {
  return isFloat ? static_cast<const float*>(from)[at]
                 : __bfloat162float(static_cast<const __nv_bfloat16*>(from)[at]);
}

}  // namespace moontide

extern "C" __global__ void __launch_bounds__(256) quantise_rows(
    const void* from, int isFloat, int stride, int rows, int columns, uint8_t* out, float* outScale,
    int outRows) {
  using namespace moontide;
  int64_t row = blockIdx.x;
  int lane = threadIdx.x % 32;
  int kBlocks = (columns + 127) / 128;
  for (int kBlock = threadIdx.x / 32; kBlock < kBlocks; kBlock += 8) {
    float x[4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
      int column = kBlock * 128 + lane * 4 + i;
      x[i] = column < columns ? element(from, isFloat, row * stride + column) : 0.f;
    }
    quantise_block(x, row, kBlock, lane, out, outScale, outRows);
  }
}

extern "C" __global__ void __launch_bounds__(256) tile_rows_bf16(
    const void* from, int isFloat, int stride, int rows, int columns, uint8_t* out, int outRows) {
  using namespace moontide;
  int64_t row = blockIdx.x;
  int padded = (columns + 63) & ~63;
  for (int column = 2 * threadIdx.x; column < padded; column += 512) {
    float first = column < columns ? element(from, isFloat, row * stride + column) : 0.f;
    float second = column + 1 < columns ? element(from, isFloat, row * stride + column + 1) : 0.f;
    *reinterpret_cast<__nv_bfloat162*>(out + panel_offset(row, 2 * column, outRows)) =
        __floats2bfloat162_rn(first, second);
  }
}
