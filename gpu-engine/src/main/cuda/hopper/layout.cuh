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
// Where the numbers lie. Everything a wgmma reads is stored in global memory as the image it has in shared
// memory: rows of 128 bytes, the 16-byte chunk c of row r at c ^ (r & 7). A bulk copy then needs no tensor map.
//
// Weights     [rowTile][kBlock] tiles of 128 rows × 128 bytes, 16,384 bytes each; beyond the matrix zeros. The
//             number of row tiles is even, so that kernels may take two at once. FP8: a tile is one 128 × 128
//             block of the checkpoint, its scale scales[rowTile · kBlocks + kBlock]. bf16: 128 rows × 64 columns.
// Panels      activations: [kBlock][rows] of 128 bytes (128 FP8 or 64 bf16 columns), `rows` the panel's
//             capacity, a multiple of 8. Any rows from a multiple of 8 are one contiguous piece of a K block.
//             FP8 scales: [kBlock][rows] float32, one for a row's 128 columns.
// Cache pages 64 tokens: nine slabs of [64 tokens][64 bf16] = 73,728 bytes; slabs 0 to 7 the latent, 8 the
//             rotated key. Queries of a token: the same with heads in place of tokens.
#pragma once

#include <cstdint>

namespace moontide {

constexpr int kRowBytes = 128;
constexpr int kTileRows = 128;
constexpr int kTileBytes = kTileRows * kRowBytes;
constexpr int kSlabBytes = 64 * kRowBytes;
constexpr int kPageTokens = 64;
constexpr int kPageSlabs = 9;
constexpr int kPageBytes = kPageSlabs * kSlabBytes;

/** Byte `byte` (0 to 127) of row `row` within an image that starts at a multiple of 8 rows. */
__host__ __device__ __forceinline__ int64_t image_offset(int64_t row, int byte) {
  return row * kRowBytes + ((((byte >> 4) ^ static_cast<int>(row & 7)) << 4) | (byte & 15));
}

/** Byte of a panel: `byte` counts along the whole row, 128 to a K block. */
__host__ __device__ __forceinline__ int64_t panel_offset(int64_t row, int byte, int64_t rows) {
  return (byte / kRowBytes) * rows * kRowBytes + image_offset(row, byte % kRowBytes);
}

/** Byte of a weight matrix: `byte` counts along the whole row. */
__host__ __device__ __forceinline__ int64_t weight_offset(int64_t row, int byte, int kBlocks) {
  return ((row / kTileRows) * kBlocks + byte / kRowBytes) * kTileBytes +
         image_offset(row % kTileRows, byte % kRowBytes);
}

/** Byte of a cache page (or of a token's queries): `row` a token (or head), `column` 0 to 575. */
__host__ __device__ __forceinline__ int64_t page_offset(int row, int column) {
  return (column / 64) * kSlabBytes + image_offset(row, 2 * (column % 64));
}

/**
 * The rows of a panel that go to one expert: one entry for each tile of them, all alike, so that a kernel finds a
 * group by its tile's number.
 */
struct RowGroup {
  int expert;
  /** First row, a multiple of 8, and how many. */
  int row;
  int rows;
  /** Number of the group's first tile. */
  int firstTile;
};

}  // namespace moontide
