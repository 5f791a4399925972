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
// What a product takes, the shapes of its blocks, and how weights, tokens and scales come into the
// stages of its ring.
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
    place = own * S::ROW_BYTES + (at ^ S::Form::swizzle(own));
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
  static_assert(S::THREADS % PIECES == 0 && (ROUNDS == 1 || ROWS_AT_ONCE % 8 == 0),
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
    place = own * S::TOKEN_BYTES + (at ^ S::Form::token_swizzle(own));
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
