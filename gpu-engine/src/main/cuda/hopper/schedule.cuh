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
// In which order the blocks of an FP8 product take its tiles.
#pragma once

#include <cstdint>

#include "layout.cuh"

namespace moontide {
namespace fp8 {

/** What a block works on next. */
struct Work {
  int expert;
  int row;
  /** 0 when there is no more. */
  int rows;
  int feature;
  int kBegin;
  int kEnd;
  int split;
};

/**
 * The order of tiles. Within a group row tiles come first, then features: blocks that run side by side read the
 * same weights, once from memory and then from L2. That holds while they stay abreast, so all tiles of a group take
 * the same time: one that is half full is not hurried (hurried ones made blocks drift apart and read the weights
 * two and a half times, 12.3 ms instead of 8.4 for the gate-up product of 16k tokens).
 */
struct Schedule {
  const RowGroup* tiles;
  int rowTiles;
  int rows;
  int tileRows;
  int features;
  int splits;
  int kBlocks;

  __host__ __device__ int count() const { return rowTiles * features * splits; }

  __host__ __device__ Work at(int index) const {
    Work work;
    int perTile = features * splits;
    int rest;
    if (tiles != nullptr) {
      RowGroup group = tiles[index / perTile];
      int height = (group.rows + tileRows - 1) / tileRows;
      int inGroup = index - group.firstTile * perTile;
      int skipped = inGroup % height * tileRows;
      rest = inGroup / height;
      work.expert = group.expert;
      work.row = group.row + skipped;
      work.rows = group.rows - skipped;
    } else {
      // Sixteen row tiles by one feature tile, then the next features: a near-square piece at a time.
      int band = index / (16 * perTile);
      int height = rowTiles - band * 16;
      height = height < 16 ? height : 16;
      int inBand = index - band * 16 * perTile;
      rest = inBand / height;
      work.expert = 0;
      work.row = (band * 16 + inBand % height) * tileRows;
      work.rows = rows - work.row;
    }
    work.rows = work.rows < tileRows ? work.rows : tileRows;
    work.feature = rest % features;
    work.split = rest / features;
    work.kBegin = kBlocks * work.split / splits;
    work.kEnd = kBlocks * (work.split + 1) / splits;
    return work;
  }

  /** Work `index`, or none when there are fewer. */
  __device__ Work at_or_none(int index) const {
    return index < count() ? at(index) : Work{0, 0, 0, 0, 0, 0, 0};
  }
};

__device__ __forceinline__ Schedule schedule_of(
    const RowGroup* tiles, const int* tileCount, int rows, int tileRows, int features, int splits,
    int kBlocks) {
  int rowTiles = tiles != nullptr ? *tileCount : (rows + tileRows - 1) / tileRows;
  return {tiles, rowTiles, rows, tileRows, features, splits, kBlocks};
}

}  // namespace fp8
}  // namespace moontide
