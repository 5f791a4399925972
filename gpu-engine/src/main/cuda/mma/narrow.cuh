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
// Products of few rows with a weight of few columns: blocks of 16 columns, so that all
// multiprocessors have some, whose warps take the stages of a row in turn. What each has summed over
// a span goes through shared memory, where the spans are added up in ascending order: the bits are
// those of product.cuh. Operands are used once and come from memory into registers.
#pragma once

#include "mma/product.cuh"

static const int NARROW_WARPS = 8;
static const int NARROW_THREADS = NARROW_WARPS * WARP;

// Blocks of BANDS times 16 columns (2: gate and up) by NT tiles of 8 tokens.
template <class F, int NT, int BANDS>
struct Narrow {
  static const int CHUNKS = F::DEPTH / CHUNK;
  static const int SPANS = F::DEPTH / F::SPAN;  // of a stage
  static const int CHUNKS_OF_SPAN = F::SPAN / CHUNK;
  // Stages of a warp whose operands are under way at once.
  static const int TOGETHER = SPANS * NT * BANDS == 1 ? 4 : SPANS * NT * BANDS < 8 ? 2 : 1;
  static const int SLOTS = NARROW_WARPS * TOGETHER;
  static const int TILE = MMA_ROWS * 8;
  static const int SLOT_SUMS = SPANS * BANDS * NT * TILE;
  static const int SLOT_SCALES = F::IS_SCALED ? SPANS * BANDS * MMA_ROWS : 0;
  static const int SHARED_BYTES = SLOTS * (SLOT_SUMS + SLOT_SCALES) * 4;
};

// What a lane multiplies of a stage.
template <class F, int NT, int BANDS>
struct NarrowOperands {
  using N = Narrow<F, NT, BANDS>;
  typename F::Eight weights[BANDS][2][N::CHUNKS];
  Words4 tokens[NT][N::CHUNKS];
};

// The scale of a row (of the matrix) for a span.
template <class F>
DEVICE float scale_of(const ProductArgs& args, int row, int span) {
  if constexpr (F::SCALE_BYTES == 0) {
    return args.w_scales[scale_row(args, row) * ceil_div(args.depth, F::SPAN) + span];
  } else {
    int k = span * F::SPAN;
    return k < args.depth ? args.w_scales[(int64_t)row * ceil_div(args.depth, args.group) + k / args.group]
                          : 0.0f;
  }
}

// Grid (blocks of 16 columns, tiles of tokens). Rows of x and of the weights are multiples of 16
// bytes, the depth is one of 8.
template <class F, int NT, int BANDS>
DEVICE void narrow_product(const ProductArgs& args) {
  using N = Narrow<F, NT, BANDS>;
  int warp = thread_index() / WARP;
  int lane = thread_index() % WARP;
  int column = block_x() * MMA_ROWS;
  int first = block_y() * NT * 8;
  int64_t row_bytes = (int64_t)args.depth * F::CHUNK_BYTES / CHUNK;
  // Columns and tokens beyond the last take its place: what comes of them is not written.
  const char* rows[BANDS][2];
#pragma unroll
  for (int i = 0; i < BANDS; i++) {
#pragma unroll
    for (int h = 0; h < 2; h++) {
      int row = smaller(column + lane / 4 + 8 * h, args.columns - 1) + i * args.columns;
      rows[i][h] = (const char*)args.w + row * row_bytes;
    }
  }
  const char* tokens[NT];
#pragma unroll
  for (int j = 0; j < NT; j++) {
    int token = smaller(first + j * 8 + lane / 4, args.rows - 1);
    tokens[j] = (const char*)(args.x + token * args.x_stride);
  }
  float* space = (float*)dynamic_shared();
  float* scale_space = space + N::SLOTS * N::SLOT_SUMS;

  // Of a tile of sums a thread adds up one: two warpgroups take the tiles in turn.
  const int OWN = (NT + 1) / 2;
  int cell = thread_index() % N::TILE;
  int group = thread_index() / N::TILE;
  int cell_row = cell / 16 + cell % 4 / 2 * 8;
  float sums[OWN][BANDS] = {};

  int all = ceil_div(args.depth, F::DEPTH);
  for (int base = 0; base < all; base += N::SLOTS) {
    NarrowOperands<F, NT, BANDS> operands[N::TOGETHER];
#pragma unroll
    for (int u = 0; u < N::TOGETHER; u++) {
      int chunk = (base + u * NARROW_WARPS + warp) * N::CHUNKS;
#pragma unroll
      for (int c = 0; c < N::CHUNKS; c++) {
#pragma unroll
        for (int i = 0; i < BANDS; i++) {
          operands[u].weights[i][0][c] = F::fetch(rows[i][0], chunk + c, args.depth);
          operands[u].weights[i][1][c] = F::fetch(rows[i][1], chunk + c, args.depth);
        }
#pragma unroll
        for (int j = 0; j < NT; j++) {
          operands[u].tokens[j][c] = F::fetch_token(tokens[j], chunk + c, args.depth);
        }
      }
    }
#pragma unroll
    for (int u = 0; u < N::TOGETHER; u++) {
      int slot = u * NARROW_WARPS + warp;
      int stage = base + slot;
      if (stage >= all) {
        continue;
      }
      if constexpr (F::IS_SCALED) {
#pragma unroll
        for (int p = 0; p < N::SPANS * BANDS; p++) {
          int row = smaller(column + lane % MMA_ROWS, args.columns - 1) + p % BANDS * args.columns;
          if (lane < MMA_ROWS) {
            scale_space[slot * N::SLOT_SCALES + p * MMA_ROWS + lane] =
                scale_of<F>(args, row, stage * N::SPANS + p / BANDS);
          }
        }
      }
#pragma unroll
      for (int p = 0; p < N::SPANS; p++) {
#pragma unroll
        for (int i = 0; i < BANDS; i++) {
          float part[NT][4] = {};
#pragma unroll
          for (int c = p * N::CHUNKS_OF_SPAN; c < (p + 1) * N::CHUNKS_OF_SPAN; c++) {
            uint32_t steps[2][4];
            decode_steps<F>(steps, operands[u].weights[i][0][c], operands[u].weights[i][1][c]);
#pragma unroll
            for (int j = 0; j < NT; j++) {
              const Words4& b = operands[u].tokens[j][c];
              multiply(part[j], steps[0], b.x, b.y);
              multiply(part[j], steps[1], b.z, b.w);
            }
          }
#pragma unroll
          for (int j = 0; j < NT; j++) {
            float* to = space + slot * N::SLOT_SUMS + ((p * BANDS + i) * NT + j) * N::TILE + lane * 4;
            *(Floats4*)to = Floats4{part[j][0], part[j][1], part[j][2], part[j][3]};
          }
        }
      }
    }
    sync_block();
    int slots = smaller(N::SLOTS, all - base);
#pragma unroll 4
    for (int slot = 0; slot < slots; slot++) {
#pragma unroll
      for (int p = 0; p < N::SPANS * BANDS; p++) {
        float scale = F::IS_SCALED ? scale_space[slot * N::SLOT_SCALES + p * MMA_ROWS + cell_row] : 1.0f;
#pragma unroll
        for (int j = 0; j < OWN; j++) {
          int tile = group + 2 * j;
          if (tile < NT) {
            float part = space[slot * N::SLOT_SUMS + (p * NT + tile) * N::TILE + cell];
            float& total = sums[j][p % BANDS];
            total = F::IS_SCALED ? fused(part, scale, total) : sum(total, part);
          }
        }
      }
    }
    sync_block();
  }

#pragma unroll
  for (int j = 0; j < OWN; j++) {
    int tile = group + 2 * j;
    int token = first + tile * 8 + cell / 4 % 4 * 2 + cell % 2;
    if (tile < NT && token < args.rows && column + cell_row < args.columns) {
      int64_t at = token * args.out_stride + column + cell_row;
      if (BANDS == 2) {
        ((uint16_t*)args.out)[at] = to_bf16(gated(sums[j][0], sums[j][BANDS - 1]));
      } else if (args.narrow) {
        ((uint16_t*)args.out)[at] = to_bf16(sums[j][0]);
      } else {
        float* out = (float*)args.out + at;
        *out = args.add ? sum(*out, sums[j][0]) : sums[j][0];
      }
    }
  }
}

#define NARROW_KERNELS(name, Form)                                                              \
  KERNEL(name##_narrow_8, ProductArgs, NARROW_THREADS) { narrow_product<Form, 1, 1>(args); }        \
  KERNEL(name##_narrow_32, ProductArgs, NARROW_THREADS) { narrow_product<Form, 4, 1>(args); }       \
  KERNEL(name##_narrow_gated_8, ProductArgs, NARROW_THREADS) { narrow_product<Form, 1, 2>(args); }  \
  KERNEL(name##_narrow_gated_32, ProductArgs, NARROW_THREADS) { narrow_product<Form, 4, 2>(args); }
