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
// Products on tensor cores: weights are the operand of 16 rows, tokens that of 8 columns, so that a
// few tokens cost few instructions. Weights and tokens come through a ring of stages in shared
// memory, by asynchronous copies.
//
// A sum's order is that of its form (forms.cuh) whatever the kernel's width, so its bits depend on
// its own token and weights alone.
#pragma once

#include "mma/copies.cuh"

// Row of FP8's scales of a weight row.
DEVICE int scale_row(const ProductArgs& args, int row) {
  return row < args.split ? row / args.block_rows
                          : ceil_div(args.split, args.block_rows) + (row - args.split) / args.block_rows;
}

// A lane's sums of two bands by NT tiles of tokens.
template <int NT>
using Sums = float[2][NT][4];

// Adds the sums of a span, times its scales by row, to all; of the first `active` tiles from `first`
// on, or of all.
template <bool ALL, bool SCALED, int TILES, int NT>
DEVICE void add_span(Sums<NT>& sums, const Sums<NT>& part, const float (&scale)[2][2], int first,
                     int active) {
#pragma unroll
  for (int j = first; j < first + TILES; j++) {
    if (ALL || j < active) {
#pragma unroll
      for (int i = 0; i < 2; i++) {
#pragma unroll
        for (int e = 0; e < 4; e++) {
          sums[i][j][e] = SCALED ? fused(part[i][j][e], scale[i][e / 2], sums[i][j][e])
                                 : sum(sums[i][j][e], part[i][j][e]);
        }
      }
    }
  }
}

// Adds the products of a stage to `sums`, by spans. Its weights and tokens begin with the warp's, its
// scales with the lane's row. ALL: all tiles of tokens, else the first `active`.
template <class S, bool ALL>
DEVICE void add_stage(Sums<S::TILES_N>& sums, const char* weights, const char* scales,
                      const char* tokens, const float (&scale)[2][2], int active) {
  using Form = typename S::Form;
  const int NT = S::TILES_N;
  // A span is a chunk, of whose tiles only some are taken together, or the stage.
  const bool BY_CHUNK = Form::SPAN == CHUNK;
  static_assert(BY_CHUNK || Form::SPAN == Form::DEPTH, "a span is a chunk or a stage");
  const int TOGETHER = BY_CHUNK && NT > 4 ? 4 : NT;
  Sums<NT> part = {};
#pragma unroll S::UNROLLED
  for (int c = 0; c < S::CHUNKS; c++) {
    Words4 b[NT];
#pragma unroll
    for (int j = 0; j < NT; j++) {
      b[j] = Form::load_tokens(tokens + j * S::WARPS_N * 8 * S::TOKEN_BYTES, S::TOKEN_BYTES, c);
    }
    uint32_t a[2][2][4];
    float group_scale[2][2] = {};
#pragma unroll
    for (int i = 0; i < 2; i++) {
      Form::load_weights(a[i], weights + i * S::BAND * S::ROW_BYTES, S::ROW_BYTES, c);
      if constexpr (BY_CHUNK) {
#pragma unroll
        for (int h = 0; h < 2; h++) {
          group_scale[i][h] =
              *(const float*)(scales + (i * S::BAND + 8 * h) * Form::SCALE_BYTES + c * 4);
        }
      }
    }
#pragma unroll
    for (int first = 0; first < NT; first += TOGETHER) {
#pragma unroll
      for (int s = 0; s < 2; s++) {
#pragma unroll
        for (int j = first; j < first + TOGETHER; j++) {
          if (ALL || j < active) {
#pragma unroll
            for (int i = 0; i < 2; i++) {
              if (BY_CHUNK && s == 0) {
                multiply_first(part[i][j], a[i][s], b[j].x, b[j].y);
              } else {
                multiply(part[i][j], a[i][s], s == 0 ? b[j].x : b[j].z, s == 0 ? b[j].y : b[j].w);
              }
            }
          }
        }
      }
      if constexpr (BY_CHUNK) {
        add_span<ALL, true, TOGETHER, NT>(sums, part, group_scale, first, active);
      }
    }
  }
  if constexpr (!BY_CHUNK) {
    add_span<ALL, Form::IS_SCALED, NT, NT>(sums, part, scale, 0, active);
  }
}

// Grid (tiles of columns, tiles of tokens, batch).
template <class S>
DEVICE void product(const ProductArgs& args) {
  using Form = typename S::Form;
  const int BITS = Form::CHUNK_BYTES * 8 / CHUNK;
  const int NT = S::TILES_N;
  int first = block_y() * S::TOKENS;
  int count = smaller(S::TOKENS, args.rows - first);
  const uint16_t* x = args.x + block_z() * args.x_batch;
  const char* weights = (const char*)args.w + block_z() * args.w_batch;
  const float* scales = args.w_scales;
  if (args.tile_expert) {
    int expert = args.tile_expert[block_y()];
    if (expert < 0) {
      return;
    }
    first = args.tile_row[block_y()];
    count = args.tile_end[block_y()] - first;
    weights += expert * args.expert_bytes;
    scales += expert * args.expert_scales;
  }
  // The second band: the same rows of up, or the next rows.
  int column = block_x() * (args.gated ? S::BAND : 2 * S::BAND);
  int apart = args.gated ? args.columns : S::BAND;
  int columns = smaller(S::BAND, args.columns - column);
  int columns_below = args.gated ? columns : smaller(S::BAND, args.columns - column - S::BAND);

  int lane = thread_index() % WARP;
  int m = S::row_of_lane();
  int n = thread_index() / WARP / S::WARPS_M;
  int row_bytes = (int)((int64_t)args.depth * BITS / 8);
  WeightCopies<S> weight_copies(weights, row_bytes, column, apart, columns, columns_below);
  ScaleCopies<S> scale_copies(args, scales, column, apart, columns, columns_below);
  TokenCopies<S> token_copies(x, args, first, count);
  char* shared = dynamic_shared();
  auto start = [&](int slot) {
    char* stage = shared + slot * S::STAGE_BYTES;
    weight_copies.start(stage);
    if constexpr (Form::SCALE_BYTES > 0) {
      scale_copies.start(stage + S::WEIGHT_BYTES);
    }
    token_copies.start(stage + S::WEIGHT_BYTES + S::SCALE_BYTES);
  };

  // FP8: where the scales of the lane's rows are, and a span's, which are read ahead of their use.
  int row_scales[2][2];
  float scale[2][2] = {};
  if constexpr (Form::IS_SCALED && Form::SCALE_BYTES == 0) {
    int blocks = ceil_div(args.depth, Form::SPAN);
#pragma unroll
    for (int i = 0; i < 2; i++) {
#pragma unroll
      for (int h = 0; h < 2; h++) {
        int most = (args.gated ? args.columns : args.columns - column) - 1;
        int row = smaller(m + 8 * h + (args.gated ? column : i * S::BAND), most);
        row += args.gated ? i * args.columns : column;
        row_scales[i][h] = scale_row(args, row) * blocks;
      }
    }
  }

  Sums<NT> sums = {};
  bool has_rows = m - lane / 4 < columns;
  // Tiles of tokens of this warp that are not empty.
  int active = smaller(NT, ceil_div(larger(0, count - n * 8), 8 * S::WARPS_N));
  int all = ceil_div(args.depth, Form::DEPTH);
  for (int s = 0; s < args.stages - 1; s++) {
    if (s < all) {
      start(s);
    }
    end_copies();
  }
  int slot = 0;
  int free_slot = args.stages - 1;
  for (int index = 0; index < all; index++) {
    switch (args.stages) {
      case 2: await_copies<0>(); break;
      case 3: await_copies<1>(); break;
      case 4: await_copies<2>(); break;
      case 5: await_copies<3>(); break;
      default: await_copies<4>(); break;
    }
    sync_block();
    if (index + args.stages - 1 < all) {
      start(free_slot);
    }
    end_copies();
    free_slot = slot;
    if constexpr (Form::IS_SCALED && Form::SCALE_BYTES == 0) {
#pragma unroll
      for (int i = 0; i < 2; i++) {
#pragma unroll
        for (int h = 0; h < 2; h++) {
          scale[i][h] = scales[row_scales[i][h] + index];
        }
      }
    }

    const char* stage = shared + slot * S::STAGE_BYTES;
    const char* own = stage + (m - lane / 4) * S::ROW_BYTES;
    const char* own_scales = stage + S::WEIGHT_BYTES + m * Form::SCALE_BYTES;
    const char* tokens = stage + S::WEIGHT_BYTES + S::SCALE_BYTES + n * 8 * S::TOKEN_BYTES;
    if (!has_rows) {
      // Its rows lie beyond the last: the warp only copies.
    } else if (NT == 1 || active == NT) {
      add_stage<S, true>(sums, own, own_scales, tokens, scale, active);
    } else {
      add_stage<S, false>(sums, own, own_scales, tokens, scale, active);
    }
    slot = slot + 1 == args.stages ? 0 : slot + 1;
  }

  // A lane has, of each tile, rows m and m + 8 of two tokens.
#pragma unroll
  for (int j = 0; j < NT; j++) {
#pragma unroll
    for (int e = 0; e < 4; e++) {
      int token = (j * S::WARPS_N + n) * 8 + lane % 4 * 2 + e % 2;
      int row = m + e / 2 * 8;
      if (token < count) {
        int64_t at = block_z() * args.out_batch + (first + token) * args.out_stride + column + row;
        if (args.gated) {
          if (row < columns) {
            ((uint16_t*)args.out)[at] = to_bf16(gated(sums[0][j][e], sums[1][j][e]));
          }
        } else {
#pragma unroll
          for (int i = 0; i < 2; i++) {
            if (row >= (i ? columns_below : columns)) {
              continue;
            }
            if (args.narrow) {
              ((uint16_t*)args.out)[at + i * S::BAND] = to_bf16(sums[i][j][e]);
            } else {
              float* out = (float*)args.out + at + i * S::BAND;
              *out = args.add ? sum(*out, sums[i][j][e]) : sums[i][j][e];
            }
          }
        }
      }
    }
  }
}

// Kernels of a form: of 8, 16 and 32 tokens for decoding and few prompts, of 64 for prompts; blocks of
// a multiprocessor that those of 8 and 32 leave registers for. Two blocks of 64 to a multiprocessor
// are faster than one of 128.
#define PRODUCT_KERNELS(name, Form, BLOCKS_8, BLOCKS_32)                                                \
  KERNEL_BLOCKS(name##_8, ProductArgs, 128, BLOCKS_8) { product<Shape<Form, 4, 1, 1>>(args); }       \
  KERNEL(name##_16, ProductArgs, 128) { product<Shape<Form, 4, 1, 2>>(args); }                       \
  KERNEL_BLOCKS(name##_32, ProductArgs, 128, BLOCKS_32) { product<Shape<Form, 4, 1, 4>>(args); }     \
  KERNEL(name##_64, ProductArgs, 128) { product<Shape<Form, 4, 1, 8>>(args); }
