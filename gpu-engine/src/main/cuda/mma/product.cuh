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

#include "mma/forms.cuh"

struct ProductArgs {
  const uint16_t* x;  // bf16 [tokens or places, depth]
  const void* w;      // [columns, depth]; gated: [2 columns, depth], gate above up
  const float* w_scales;
  void* out;               // float or bf16 [tokens or places, columns]
  const int* source;       // row of x of each place; null: its own
  const int* tile_expert;  // grouped: expert of each tile of places, below 0 beyond the last
  const int* tile_row;     // grouped: first place of each tile
  const int* tile_end;     // grouped: place after each tile's last
  int64_t expert_bytes;    // of an expert's weights
  int64_t expert_scales;
  int64_t x_stride;    // numbers between rows
  int64_t out_stride;  // numbers between rows
  int64_t x_batch;     // numbers between the matrices of a batch
  int64_t w_batch;     // bytes
  int64_t out_batch;   // numbers
  int rows;            // not grouped
  int columns;
  int depth;
  int split;       // FP8: first row of the second of two stacked matrices
  int block_rows;  // FP8: rows of a block of scales
  int group;       // INT4: inputs of a scale, a multiple of 32, or the depth
  int gated;       // whether to write silu(gate x) * (up x)
  int narrow;      // whether out is bf16, as it is if gated
  int add;         // whether to add to what out holds, in float
  int stages;      // of the ring
};

// WM by WN warps; a warp takes two tiles of 16 weight rows and NT of 8 tokens.
template <class F, int WM, int WN, int NT>
struct Shape {
  using Form = F;
  static const int WARPS_M = WM;
  static const int WARPS_N = WN;
  static const int TILES_N = NT;
  static const int THREADS = WM * WN * WARP;
  static const int BAND = WM * MMA_ROWS;  // weight rows in a row; a block has two bands
  static const int TOKENS = WN * NT * 8;
  static const int CHUNKS = F::DEPTH / CHUNK;
  static const int ROW_BYTES = CHUNKS * F::CHUNK_BYTES;
  static const int TOKEN_BYTES = F::DEPTH * 2;
  static const int WEIGHT_BYTES = 2 * BAND * ROW_BYTES;
  static const int SCALE_BYTES = 2 * BAND * F::SCALE_BYTES;
  static const int STAGE_BYTES = WEIGHT_BYTES + SCALE_BYTES + TOKENS * TOKEN_BYTES;
  // Chunks whose operands may be in registers at once.
  static const int UNROLLED = NT < 4 ? CHUNKS : F::SPAN == CHUNK ? 1 : NT > 4 ? 2 : CHUNKS;
  // The lane's first row of a band; the other is 8 below.
  DEVICE static int row_of_lane() {
    return thread_index() / WARP % WM * MMA_ROWS + thread_index() % WARP / 4;
  }
};

DEVICE bool aligned_16(const void* at, int64_t row_bytes) {
  return ((uint64_t)at | (uint64_t)row_bytes) % 16 == 0;
}

// 16 bytes of a row of which `left` are there, zeros beyond; ALIGNED: all or none are.
template <bool ALIGNED>
DEVICE void copy_piece(char* to, const char* from, int left) {
  if constexpr (ALIGNED) {
    copy_16(to, from, left > 0);
  } else {
    for (int i = 0; i < 16; i++) {
      to[i] = i < left ? from[i] : 0;
    }
  }
}

// Brings the rows of a block of weights into stages, one stage after the other. A thread copies the
// same piece of several rows.
template <class S>
struct WeightCopies {
  static const int PIECES = S::ROW_BYTES / 16;
  static const int ROWS_AT_ONCE = S::THREADS / PIECES;
  static const int PER_BAND = S::BAND / ROWS_AT_ONCE;
  static_assert(S::THREADS % PIECES == 0 && S::BAND % ROWS_AT_ONCE == 0 && ROWS_AT_ONCE % 8 == 0,
                "a thread's rows have its piece at the same place");
  const char* origin;  // the thread's first row
  int64_t row_step;    // bytes between its rows
  int64_t band_step;   // bytes between the bands
  int at;              // of the piece in a row, in the next stage
  int row_bytes;
  int place;    // in a stage, of its first row
  int left[2];  // rows of the bands from the thread's first on
  bool aligned;

  // Rows [row, row + BAND) and those `apart` further on, of which `count` and `count_below` exist.
  DEVICE WeightCopies(const char* w, int row_bytes, int row, int apart, int count, int count_below)
      : row_bytes(row_bytes) {
    int own = thread_index() / PIECES;
    at = thread_index() % PIECES * 16;
    origin = w + (int64_t)(row + own) * row_bytes;
    row_step = (int64_t)ROWS_AT_ONCE * row_bytes;
    band_step = (int64_t)apart * row_bytes;
    place = own * S::ROW_BYTES + S::Form::place(at / S::Form::CHUNK_BYTES, own) * S::Form::CHUNK_BYTES +
            at % S::Form::CHUNK_BYTES;
    left[0] = count - own;
    left[1] = count_below - own;
    aligned = aligned_16(w, row_bytes);
  }

  template <bool ALIGNED>
  DEVICE void copy(char* stage) const {
    const char* from = origin + (at < row_bytes ? at : 0);
#pragma unroll
    for (int band = 0; band < 2; band++) {
#pragma unroll
      for (int i = 0; i < PER_BAND; i++) {
        if (i * ROWS_AT_ONCE < left[band]) {
          copy_piece<ALIGNED>(stage + place + (band * S::BAND + i * ROWS_AT_ONCE) * S::ROW_BYTES,
                              from + band * band_step + i * row_step, row_bytes - at);
        }
      }
    }
  }

  DEVICE void start(char* stage) {
    if (aligned) {
      copy<true>(stage);
    } else {
      copy<false>(stage);
    }
    at += S::ROW_BYTES;
  }
};

// Brings the tokens of a block into stages, one stage after the other.
template <class S>
struct TokenCopies {
  static const int PIECES = S::TOKEN_BYTES / 16;
  static const int ROWS_AT_ONCE = S::THREADS / PIECES;
  static const int ROUNDS = S::TOKENS / ROWS_AT_ONCE > 0 ? S::TOKENS / ROWS_AT_ONCE : 1;
  static_assert(S::THREADS % PIECES == 0 && (ROUNDS == 1 || ROWS_AT_ONCE % 2 == 0),
                "a thread's tokens have its piece at the same place");
  const char* x;
  uint32_t stride;  // bytes
  int row_bytes;
  int at;
  int place;
  int left;               // tokens from the thread's first on
  uint32_t row[ROUNDS];  // of x
  bool aligned;

  DEVICE TokenCopies(const uint16_t* from, const ProductArgs& args, int first, int count)
      : x((const char*)from), stride((uint32_t)args.x_stride * 2), row_bytes(args.depth * 2) {
    int own = thread_index() / PIECES;
    at = thread_index() % PIECES * 16;
    place = own * S::TOKEN_BYTES + ((at / 64) ^ (own & 1)) * 64 + at % 64;
    aligned = aligned_16(x, stride);
    left = count - own;
#pragma unroll
    for (int i = 0; i < ROUNDS; i++) {
      row[i] = 0;
      if (i * ROWS_AT_ONCE < left) {
        int token = first + own + i * ROWS_AT_ONCE;
        row[i] = (uint32_t)(args.source ? args.source[token] : token);
      }
    }
  }

  template <bool ALIGNED>
  DEVICE void copy(char* stage) const {
    const char* from = x + (at < row_bytes ? at : 0);
#pragma unroll
    for (int i = 0; i < ROUNDS; i++) {
      if (i * ROWS_AT_ONCE < left) {
        copy_piece<ALIGNED>(stage + place + i * ROWS_AT_ONCE * S::TOKEN_BYTES,
                            from + (uint64_t)row[i] * stride, row_bytes - at);
      }
    }
  }

  DEVICE void start(char* stage) {
    if (aligned) {
      copy<true>(stage);
    } else {
      copy<false>(stage);
    }
    at += S::TOKEN_BYTES;
  }
};

// Brings the scales of INT4, one for each row and chunk, into stages; a thread those of a row.
template <class S>
struct ScaleCopies {
  static const int ROUNDS = 2 * S::BAND / S::THREADS > 0 ? 2 * S::BAND / S::THREADS : 1;
  const float* from[ROUNDS];  // null where there is no row
  int chunk;
  int depth;
  int group;
  bool whole;  // a stage's are four in a row, aligned

  DEVICE ScaleCopies(const ProductArgs& args, const float* scales, int row, int apart, int count,
                     int count_below)
      : chunk(0), depth(args.depth), group(args.group) {
    int groups = S::Form::SCALE_BYTES > 0 ? ceil_div(depth, group) : 0;
    whole = group == CHUNK && groups % S::CHUNKS == 0 && aligned_16(scales, 0);
#pragma unroll
    for (int i = 0; i < ROUNDS; i++) {
      int slot = thread_index() + i * S::THREADS;
      int band = slot / S::BAND;
      int own = slot % S::BAND;
      bool is_row = band < 2 && own < (band ? count_below : count);
      from[i] = is_row ? scales + (int64_t)(row + own + band * apart) * groups : nullptr;
    }
  }

  DEVICE void start(char* stage) {
#pragma unroll
    for (int i = 0; i < ROUNDS; i++) {
      char* to = stage + (thread_index() + i * S::THREADS) * S::Form::SCALE_BYTES;
      if (from[i] && whole) {
        copy_16(to, from[i] + chunk, true);
      } else if (from[i]) {
        for (int c = 0; c < S::CHUNKS; c++) {
          int k = (chunk + c) * CHUNK;
          copy_4(to + c * 4, from[i] + (k < depth ? k / group : 0), k < depth);
        }
      }
    }
    chunk += S::CHUNKS;
  }
};

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

// Adds the products of a stage to `sums`, by spans. The stage's weights and scales begin with the
// lane's row, its tokens with the lane's. ALL: all tiles of tokens, else the first `active`.
template <class S, bool ALL>
DEVICE void add_stage(Sums<S::TILES_N>& sums, const char* weights, const char* scales,
                      const char* tokens, const float (&scale)[2][2], int active) {
  using Form = typename S::Form;
  const int NT = S::TILES_N;
  // A span is a chunk, of whose tiles only some are taken together, or the stage.
  const bool BY_CHUNK = Form::SPAN == CHUNK;
  static_assert(BY_CHUNK || Form::SPAN == Form::DEPTH, "a span is a chunk or a stage");
  const int TOGETHER = BY_CHUNK && NT > 4 ? 4 : NT;
  int quad = thread_index() % 4;
  Sums<NT> part = {};
#pragma unroll S::UNROLLED
  for (int c = 0; c < S::CHUNKS; c++) {
    Words4 b[NT];
#pragma unroll
    for (int j = 0; j < NT; j++) {
      b[j] = *(const Words4*)(tokens + j * S::WARPS_N * 8 * S::TOKEN_BYTES +
                              (c ^ (thread_index() / 4 & 1)) * 64 + quad * 16);
    }
    uint32_t a[2][2][4];
    float group_scale[2][2] = {};
#pragma unroll
    for (int i = 0; i < 2; i++) {
      // Rows 8 apart have a chunk at the same place.
      const char* from = weights + i * S::BAND * S::ROW_BYTES +
                         Form::place(c, thread_index() / 4) * Form::CHUNK_BYTES +
                         quad * (Form::CHUNK_BYTES / 4);
      load_steps<Form>(a[i], from, from + 8 * S::ROW_BYTES);
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
    const char* own = stage + m * S::ROW_BYTES;
    const char* own_scales = stage + S::WEIGHT_BYTES + m * Form::SCALE_BYTES;
    const char* tokens =
        stage + S::WEIGHT_BYTES + S::SCALE_BYTES + (n * 8 + lane / 4) * S::TOKEN_BYTES;
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

// Kernels of a form: of 8 and 32 tokens for decoding, of 64 for prompts. Two blocks of 64 to a
// multiprocessor are faster than one of 128.
#define PRODUCT_KERNELS(name, Form)                                                       \
  KERNEL(name##_8, ProductArgs, 128) { product<Shape<Form, 4, 1, 1>>(args); }             \
  KERNEL(name##_32, ProductArgs, 128) { product<Shape<Form, 4, 1, 4>>(args); }            \
  KERNEL(name##_64, ProductArgs, 128) { product<Shape<Form, 4, 1, 8>>(args); }
