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
// The router's gate, all in float: a warp sums four experts by four tokens. A lane takes every 32nd
// four inputs, and the lanes' sums are added in a fixed tree, so a logit's bits are its own token's.
#include "device.cuh"

struct RouterArgs {
  float* out;         // [rows, experts]
  const float* x;     // [rows, depth]
  const float* gate;  // [experts, depth]
  int rows;
  int experts;
  int depth;
};

struct alignas(16) Floats4 {
  float x, y, z, w;
};

static const int WARPS = 4;
static const int BLOCKED = 4;

template <class T>
DEVICE void load_rows(T (&to)[BLOCKED], const float* from, int row, int rows, int depth, int at) {
#pragma unroll
  for (int i = 0; i < BLOCKED; i++) {
    to[i] = *(const T*)(from + (int64_t)smaller(row + i, rows - 1) * depth + at);
  }
}

// Grid (groups of 16 experts, groups of 4 tokens).
KERNEL(mma_router_logits, RouterArgs, WARPS * WARP) {
  int lane = thread_index() % WARP;
  int expert = (block_x() * WARPS + thread_index() / WARP) * BLOCKED;
  int row = block_y() * BLOCKED;
  float sums[BLOCKED][BLOCKED] = {};
  int fours = args.depth % 4 == 0 ? args.depth / 4 : 0;
#pragma unroll 2
  for (int i = lane; i < fours; i += WARP) {
    Floats4 x[BLOCKED];
    Floats4 gate[BLOCKED];
    load_rows(x, args.x, row, args.rows, args.depth, 4 * i);
    load_rows(gate, args.gate, expert, args.experts, args.depth, 4 * i);
#pragma unroll
    for (int t = 0; t < BLOCKED; t++) {
#pragma unroll
      for (int e = 0; e < BLOCKED; e++) {
        float total = fused(x[t].x, gate[e].x, sums[t][e]);
        total = fused(x[t].y, gate[e].y, total);
        total = fused(x[t].z, gate[e].z, total);
        sums[t][e] = fused(x[t].w, gate[e].w, total);
      }
    }
  }
  // Rows that are not aligned.
  for (int i = 4 * fours + lane; i < args.depth; i += WARP) {
    float x[BLOCKED];
    float gate[BLOCKED];
    load_rows(x, args.x, row, args.rows, args.depth, i);
    load_rows(gate, args.gate, expert, args.experts, args.depth, i);
#pragma unroll
    for (int t = 0; t < BLOCKED; t++) {
#pragma unroll
      for (int e = 0; e < BLOCKED; e++) {
        sums[t][e] = fused(x[t], gate[e], sums[t][e]);
      }
    }
  }
#pragma unroll
  for (int t = 0; t < BLOCKED; t++) {
#pragma unroll
    for (int e = 0; e < BLOCKED; e++) {
      float total = warp_sum(sums[t][e]);
      if (lane == 0 && row + t < args.rows && expert + e < args.experts) {
        args.out[(int64_t)(row + t) * args.experts + expert + e] = total;
      }
    }
  }
}
