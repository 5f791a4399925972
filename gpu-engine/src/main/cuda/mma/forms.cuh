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
// A stage of the ring holds DEPTH inputs of each row, in chunks of 32. Of a chunk a lane takes eight
// inputs in a row, those from 8 (lane % 4) on, the first four for one k16 step, the others for the
// next: which inputs stand where in a step is all the same to a sum, as long as both operands agree.
// So a row's inputs are read as they are stored, in one load a lane. Where a chunk lies in its row
// depends on the row (place), so that the lanes of a load meet no two in one bank.
//
// Sums run over SPAN inputs in a row on tensor cores, then in float over spans, in ascending order.
#pragma once

#include "mma/warp.cuh"

static const int CHUNK = 32;
// Weight rows of a tensor core's tile.
static const int MMA_ROWS = 16;

struct Bf16Form {
  static const int DEPTH = 64;
  static const int SPAN = 64;
  static const int CHUNK_BYTES = 64;
  static const bool IS_SCALED = false;
  static const int SCALE_BYTES = 0;  // in a stage, of a row
  DEVICE static int place(int chunk, int row) { return chunk ^ (row & 1); }
  // The eight inputs of a lane: pairs for two steps.
  DEVICE static void decode(const char* from, uint32_t (&pairs)[4]) {
    Words4 words = *(const Words4*)from;
    pairs[0] = words.x;
    pairs[1] = words.y;
    pairs[2] = words.z;
    pairs[3] = words.w;
  }
};

// A byte's seven lower bits, at the place of a bf16's exponent and mantissa, mean value / 2^120,
// subnormals included. (NaN, which checkpoints do not hold, would be 480.)
DEVICE uint32_t pair_of_e4m3(uint32_t bytes) {
  uint32_t magnitude = bytes >> 4 & 0x07f007f0u;
  return fused_pair((bytes & 0x80008000u) | magnitude, 0x7b807b80u, 0x80008000u);
}

struct Fp8Form {
  static const int DEPTH = 128;
  static const int SPAN = 128;
  static const int CHUNK_BYTES = 32;
  static const bool IS_SCALED = true;  // by block: a scale serves many rows, and is read where it is
  static const int SCALE_BYTES = 0;
  DEVICE static int place(int chunk, int row) { return chunk ^ (row & 3); }
  DEVICE static void decode(const char* from, uint32_t (&pairs)[4]) {
    Words2 words = *(const Words2*)from;
    pairs[0] = pair_of_e4m3(select_bytes(words.x, 0, 0x1404));
    pairs[1] = pair_of_e4m3(select_bytes(words.x, 0, 0x3424));
    pairs[2] = pair_of_e4m3(select_bytes(words.y, 0, 0x1404));
    pairs[3] = pair_of_e4m3(select_bytes(words.y, 0, 0x3424));
  }
};

// 0x4300 with a nibble in its lowest bits is 128 + nibble in bf16.
DEVICE uint32_t pair_of_int4(uint32_t nibbles) {
  return fused_pair((nibbles & 0x000f000fu) | 0x43004300u, 0x3f803f80u, 0xc308c308u);
}

struct Int4Form {
  static const int DEPTH = 128;
  static const int SPAN = 32;
  static const int CHUNK_BYTES = 16;
  static const bool IS_SCALED = true;  // by row and chunk
  static const int SCALE_BYTES = DEPTH / SPAN * 4;
  DEVICE static int place(int chunk, int row) { return chunk ^ (row >> 1 & 3); }
  DEVICE static void decode(const char* from, uint32_t (&pairs)[4]) {
    uint32_t even = *(const uint32_t*)from;
    uint32_t odd = even >> 4;
    pairs[0] = pair_of_int4(select_bytes(even, odd, 0x4400));
    pairs[1] = pair_of_int4(select_bytes(even, odd, 0x5511));
    pairs[2] = pair_of_int4(select_bytes(even, odd, 0x6622));
    pairs[3] = pair_of_int4(select_bytes(even, odd, 0x7733));
  }
};

// The two steps' operands of a chunk of 16 rows: `from` is where the lane's eight inputs of row g
// lie, `below` those of row g + 8.
template <class Form>
DEVICE void load_steps(uint32_t (&steps)[2][4], const char* from, const char* below) {
  uint32_t upper[4];
  uint32_t lower[4];
  Form::decode(from, upper);
  Form::decode(below, lower);
#pragma unroll
  for (int s = 0; s < 2; s++) {
    steps[s][0] = upper[2 * s];
    steps[s][1] = lower[2 * s];
    steps[s][2] = upper[2 * s + 1];
    steps[s][3] = lower[2 * s + 1];
  }
}
