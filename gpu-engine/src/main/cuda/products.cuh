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
// Matrix products on the ordinary float units, right on every shape. An element's sum runs over its
// inputs in ascending order whatever the tile, so its bits depend on its own row and weights alone.
//
// A block of 256 threads computes a tile of 16 * RM rows by 64 columns, a thread RM by 4 of it.
#pragma once

#include "device.cuh"

static const int PRODUCT_THREADS = 256;
static const int TILE_COLUMNS = 64;
static const int TILE_DEPTH = 32;
// Inputs between two promotions of an FP8 sum: one activation scale and one column of weight scales.
static const int SCALED_DEPTH = 128;

// ---- operands: element (row, k); those of FP8 have a scale for each row and 128 of k ----------------

struct FloatRows {
  static const bool SCALED = false;
  const float* values;
  int64_t stride;
  DEVICE float at(int row, int k) const { return values[row * stride + k]; }
};

struct Bf16Rows {
  static const bool SCALED = false;
  const uint16_t* values;
  int64_t stride;
  DEVICE float at(int row, int k) const { return from_bf16(values[row * stride + k]); }
};

// A matrix stored with k as its rows.
struct Bf16Columns {
  static const bool SCALED = false;
  const uint16_t* values;
  int64_t stride;
  DEVICE float at(int row, int k) const { return from_bf16(values[k * stride + row]); }
};

struct E4m3Activations {
  static const bool SCALED = true;
  const uint8_t* values;  // [rows, depth]
  const float* scales;    // [rows, ceil(depth / 128)]
  int depth;
  DEVICE float at(int row, int k) const { return from_e4m3(values[(int64_t)row * depth + k]); }
  DEVICE float scale(int row, int block) const {
    return scales[(int64_t)row * ceil_div(depth, SCALED_DEPTH) + block];
  }
};

// Two matrices one above the other, the second from row `split`, each with its own blocks of rows.
struct E4m3Weights {
  static const bool SCALED = true;
  const uint8_t* values;  // [rows, depth]
  const float* scales;    // [blocks of rows, ceil(depth / 128)]
  int depth;
  int split;
  int block_rows;
  DEVICE float at(int row, int k) const { return from_e4m3(values[(int64_t)row * depth + k]); }
  DEVICE float scale(int row, int block) const {
    int above = row < split ? row / block_rows
                            : ceil_div(split, block_rows) + (row - split) / block_rows;
    return scales[(int64_t)above * ceil_div(depth, SCALED_DEPTH) + block];
  }
};

// Eight to a word, the lowest bits first; each group of a row has a scale.
struct Int4Weights {
  static const bool SCALED = false;
  const uint32_t* words;  // [rows, depth / 8]
  const float* scales;    // [rows, ceil(depth / group)]
  int depth;
  int group;
  DEVICE float at(int row, int k) const {
    uint32_t word = words[(int64_t)row * (depth / 8) + k / 8];
    int value = (int)(word >> (k % 8 * 4) & 0xfu) - 8;
    return product((float)value, scales[(int64_t)row * ceil_div(depth, group) + k / group]);
  }
};

// Rows of an operand in another order.
template <class A>
struct Gathered {
  static const bool SCALED = A::SCALED;
  A rows;
  const int* source;  // row of `rows` for each row here
  DEVICE float at(int row, int k) const { return rows.at(source[row], k); }
  DEVICE float scale(int row, int block) const { return rows.scale(source[row], block); }
};

// ---- one tile --------------------------------------------------------------------------------------

template <int RM>
struct Tile {
  float sums[RM][4];
  DEVICE static int row(int i) { return thread_index() / 16 + 16 * i; }
  DEVICE static int column(int j) { return thread_index() % 16 * 4 + j; }
};

template <int RM>
struct TileScratch {
  float a[TILE_DEPTH][16 * RM + 1];
  float w[TILE_DEPTH][TILE_COLUMNS + 4];
};

// Loads k in [from, from + TILE_DEPTH), zeros beyond the edges.
template <int RM, class A, class W>
DEVICE void load_tile(TileScratch<RM>& scratch, const A& a, const W& w, int row, int rows,
                      int column, int columns, int from, int depth) {
  for (int i = thread_index(); i < 16 * RM * TILE_DEPTH; i += PRODUCT_THREADS) {
    int r = i / TILE_DEPTH;
    int k = i % TILE_DEPTH;
    bool inside = row + r < rows && from + k < depth;
    scratch.a[k][r] = inside ? a.at(row + r, from + k) : 0.0f;
  }
  for (int i = thread_index(); i < TILE_COLUMNS * TILE_DEPTH; i += PRODUCT_THREADS) {
    int c = i / TILE_DEPTH;
    int k = i % TILE_DEPTH;
    bool inside = column + c < columns && from + k < depth;
    scratch.w[k][c] = inside ? w.at(column + c, from + k) : 0.0f;
  }
}

// Sums of the tile at (row, column): a [rows, depth] times the transpose of w [columns, depth].
// Beyond the depth nothing is added, so 0 times infinity cannot arise.
template <int RM, class A, class W>
DEVICE void multiply_tile(Tile<RM>& tile, TileScratch<RM>& scratch, const A& a, const W& w, int row,
                          int rows, int column, int columns, int depth) {
#pragma unroll
  for (int i = 0; i < RM; i++) {
#pragma unroll
    for (int j = 0; j < 4; j++) {
      tile.sums[i][j] = 0.0f;
    }
  }
  const int span = A::SCALED ? SCALED_DEPTH : 0x7fffffff;
  for (int block = 0; block < depth; block += smaller(span, depth - block)) {
    float part[RM][4];
#pragma unroll
    for (int i = 0; i < RM; i++) {
#pragma unroll
      for (int j = 0; j < 4; j++) {
        part[i][j] = 0.0f;
      }
    }
    int end = block + smaller(span, depth - block);
    for (int from = block; from < end; from += TILE_DEPTH) {
      sync_block();
      load_tile<RM>(scratch, a, w, row, rows, column, columns, from, end);
      sync_block();
      // Threads without a row only load.
      int count = row + Tile<RM>::row(0) < rows ? smaller(TILE_DEPTH, end - from) : 0;
      for (int k = 0; k < count; k++) {
        float x[RM];
        float y[4];
#pragma unroll
        for (int i = 0; i < RM; i++) {
          x[i] = scratch.a[k][Tile<RM>::row(i)];
        }
#pragma unroll
        for (int j = 0; j < 4; j++) {
          y[j] = scratch.w[k][Tile<RM>::column(j)];
        }
#pragma unroll
        for (int i = 0; i < RM; i++) {
#pragma unroll
          for (int j = 0; j < 4; j++) {
            part[i][j] = fused(x[i], y[j], part[i][j]);
          }
        }
      }
    }
    if constexpr (A::SCALED) {
#pragma unroll
      for (int i = 0; i < RM; i++) {
        float scale = a.scale(smaller(row + Tile<RM>::row(i), rows - 1), block / SCALED_DEPTH);
#pragma unroll
        for (int j = 0; j < 4; j++) {
          int c = smaller(column + Tile<RM>::column(j), columns - 1);
          float both = product(scale, w.scale(c, block / SCALED_DEPTH));
          tile.sums[i][j] = fused(part[i][j], both, tile.sums[i][j]);
        }
      }
    } else {
#pragma unroll
      for (int i = 0; i < RM; i++) {
#pragma unroll
        for (int j = 0; j < 4; j++) {
          tile.sums[i][j] = part[i][j];
        }
      }
    }
  }
}
