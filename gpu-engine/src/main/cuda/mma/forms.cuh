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
// The forms weights have in memory, and how they become bf16 operands of tensor cores in registers:
// every number of E4M3 and INT4 is one of bf16, so nothing is rounded.
//
// A stage of the ring holds DEPTH inputs of each row, in chunks of 32, which are two k16 steps. Which
// inputs stand where in a step is all the same to a sum, as long as both operands agree, so FP8 and
// INT4 are read as they are stored: of a chunk a lane takes eight inputs in a row, those from
// 8 (lane % 4) on, the first four for one step, the others for the next. bf16 needs no conversion and
// comes by ldmatrix, in the order of tensor cores. A byte's place in its row is changed by the row
// (swizzle), so that the lanes of a load meet no two in one bank.
//
// Sums run over SPAN inputs in a row on tensor cores, then in float over spans, in ascending order.
#pragma once

#include "mma/warp.cuh"

static const int CHUNK = 32;
// Weight rows of a tensor core's tile.
static const int MMA_ROWS = 16;

// Operands of a chunk of eight tokens: pairs for two steps.
template <class Form>
DEVICE Words4 load_eights(const char* tile, int row_bytes, int chunk) {
  int token = thread_index() % WARP / 4;
  return *(const Words4*)(tile + token * row_bytes +
                          ((chunk * 64 + thread_index() % 4 * 16) ^ Form::token_swizzle(token)));
}

// The two steps' operands of 16 rows: a lane's inputs of rows g and g + 8.
template <class Form>
DEVICE void decode_steps(uint32_t (&steps)[2][4], const typename Form::Eight& row,
                         const typename Form::Eight& below) {
  uint32_t upper[4];
  uint32_t lower[4];
  Form::decode(row, upper);
  Form::decode(below, lower);
#pragma unroll
  for (int s = 0; s < 2; s++) {
    steps[s][0] = upper[2 * s];
    steps[s][1] = lower[2 * s];
    steps[s][2] = upper[2 * s + 1];
    steps[s][3] = lower[2 * s + 1];
  }
}

// Those of a stage's 16 rows that a form decodes.
template <class Form>
DEVICE void decode_eights(uint32_t (&steps)[2][4], const char* band, int row_bytes, int chunk) {
  int row = thread_index() % WARP / 4;
  // Rows 8 apart have a chunk at the same place.
  const char* from = band + row * row_bytes +
                     ((chunk * Form::CHUNK_BYTES) ^ Form::swizzle(row)) +
                     thread_index() % 4 * (Form::CHUNK_BYTES / 4);
  using Eight = typename Form::Eight;
  decode_steps<Form>(steps, *(const Eight*)from, *(const Eight*)(from + 8 * row_bytes));
}

// A lane's eight inputs of a chunk of a row in memory, zeros from `depth` on, a multiple of eight.
template <class Form>
DEVICE typename Form::Eight fetch_eight(const char* row, int chunk, int depth) {
  int first = chunk * CHUNK + thread_index() % 4 * 8;
  return first < depth ? *(const typename Form::Eight*)(row + first * Form::CHUNK_BYTES / CHUNK)
                       : typename Form::Eight{};
}
DEVICE Words4 fetch_token_eight(const char* row, int chunk, int depth) {
  int first = chunk * CHUNK + thread_index() % 4 * 8;
  return first < depth ? *(const Words4*)(row + first * 2) : Words4{};
}

struct Bf16Form {
  static const int DEPTH = 64;
  static const int SPAN = 64;
  static const int CHUNK_BYTES = 64;
  static const bool IS_SCALED = false;
  static const int SCALE_BYTES = 0;  // in a stage, of a row
  using Eight = Words4;
  DEVICE static void decode(const Words4& words, uint32_t (&pairs)[4]) {
    pairs[0] = words.x;
    pairs[1] = words.y;
    pairs[2] = words.z;
    pairs[3] = words.w;
  }
  // In memory they lie apart: pairs at 2t and 2t + 8 of each step.
  DEVICE static Words4 fetch(const char* row, int chunk, int depth) {
    uint32_t words[4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
      int at = chunk * CHUNK + i * 8 + thread_index() % 4 * 2;
      words[i] = at < depth ? *(const uint32_t*)(row + at * 2) : 0;
    }
    return Words4{words[0], words[1], words[2], words[3]};
  }
  DEVICE static Words4 fetch_token(const char* row, int chunk, int depth) {
    return fetch(row, chunk, depth);
  }
  DEVICE static int swizzle(int row) { return (row & 7) * 16; }
  DEVICE static int token_swizzle(int token) { return (token & 7) * 16; }
  DEVICE static void load_weights(uint32_t (&steps)[2][4], const char* band, int row_bytes, int chunk) {
    int row = thread_index() % 16;
    int half = thread_index() % WARP / 16 * 16;
#pragma unroll
    for (int s = 0; s < 2; s++) {
      load_matrices(steps[s], band + row * row_bytes + ((chunk * 64 + s * 32 + half) ^ swizzle(row)));
    }
  }
  DEVICE static Words4 load_tokens(const char* tile, int row_bytes, int chunk) {
    int token = thread_index() % 8;
    uint32_t words[4];
    load_matrices(words, tile + token * row_bytes +
                             ((chunk * 64 + thread_index() % WARP / 8 * 16) ^ token_swizzle(token)));
    return Words4{words[0], words[1], words[2], words[3]};
  }
};

// A byte's seven lower bits, at the place of a bf16's exponent and mantissa, mean value / 2^120,
// subnormals included. (NaN, which no checkpoint holds that was loaded, would be 480.) `halves` are
// two bytes, each with its sign in the eight bits above.
DEVICE uint32_t pair_of_e4m3(uint32_t halves) {
  return fused_pair(halves * 16 & 0x87f087f0u, 0x7b807b80u, 0x80008000u);
}

struct Fp8Form {
  static const int DEPTH = 128;
  static const int SPAN = 128;
  static const int CHUNK_BYTES = 32;
  static const bool IS_SCALED = true;  // by block: a scale serves many rows, and is read where it is
  static const int SCALE_BYTES = 0;
  DEVICE static int swizzle(int row) { return (row & 3) * 32; }
  DEVICE static int token_swizzle(int token) { return (token & 1) * 64; }
  DEVICE static void load_weights(uint32_t (&steps)[2][4], const char* band, int row_bytes, int chunk) {
    decode_eights<Fp8Form>(steps, band, row_bytes, chunk);
  }
  DEVICE static Words4 load_tokens(const char* tile, int row_bytes, int chunk) {
    return load_eights<Fp8Form>(tile, row_bytes, chunk);
  }
  using Eight = Words2;
  DEVICE static Words2 fetch(const char* row, int chunk, int depth) {
    return fetch_eight<Fp8Form>(row, chunk, depth);
  }
  DEVICE static Words4 fetch_token(const char* row, int chunk, int depth) {
    return fetch_token_eight(row, chunk, depth);
  }
  DEVICE static void decode(const Words2& words, uint32_t (&pairs)[4]) {
    pairs[0] = pair_of_e4m3(select_bytes(words.x, 0, 0x9180));
    pairs[1] = pair_of_e4m3(select_bytes(words.x, 0, 0xb3a2));
    pairs[2] = pair_of_e4m3(select_bytes(words.y, 0, 0x9180));
    pairs[3] = pair_of_e4m3(select_bytes(words.y, 0, 0xb3a2));
  }
};

// 0x4300 with a nibble in its lowest bits is 128 + nibble in bf16.
DEVICE uint32_t pair_of_int4(uint32_t nibbles) {
  return fused_pair(masked_or(nibbles, 0x000f000fu, 0x43004300u), 0x3f803f80u, 0xc308c308u);
}

struct Int4Form {
  static const int DEPTH = 128;
  static const int SPAN = 32;
  static const int CHUNK_BYTES = 16;
  static const bool IS_SCALED = true;  // by row and chunk
  static const int SCALE_BYTES = DEPTH / SPAN * 4;
  DEVICE static int swizzle(int row) { return (row >> 1 & 3) * 16; }
  DEVICE static int token_swizzle(int token) { return (token & 1) * 64; }
  DEVICE static void load_weights(uint32_t (&steps)[2][4], const char* band, int row_bytes, int chunk) {
    decode_eights<Int4Form>(steps, band, row_bytes, chunk);
  }
  DEVICE static Words4 load_tokens(const char* tile, int row_bytes, int chunk) {
    return load_eights<Int4Form>(tile, row_bytes, chunk);
  }
  using Eight = uint32_t;
  DEVICE static uint32_t fetch(const char* row, int chunk, int depth) {
    return fetch_eight<Int4Form>(row, chunk, depth);
  }
  DEVICE static Words4 fetch_token(const char* row, int chunk, int depth) {
    return fetch_token_eight(row, chunk, depth);
  }
  DEVICE static void decode(uint32_t even, uint32_t (&pairs)[4]) {
    uint32_t odd = even >> 4;
    pairs[0] = pair_of_int4(select_bytes(even, odd, 0x4400));
    pairs[1] = pair_of_int4(select_bytes(even, odd, 0x5511));
    pairs[2] = pair_of_int4(select_bytes(even, odd, 0x6622));
    pairs[3] = pair_of_int4(select_bytes(even, odd, 0x7733));
  }
};
