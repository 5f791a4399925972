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
// The routed experts: token-expert pairs ordered by expert, then token; grouped products over them;
// and back, each token's experts in ascending order.
//
// All counts stay on the device: a grouped product's grid holds the most tiles there can be, and a
// block without a tile returns.
#include "products.cuh"

// ---- order -----------------------------------------------------------------------------------------

struct OrderArgs {
  const int* chosen;  // expert of each pair [tokens, top_k], ascending within a token
  int* counts;        // pairs of each expert
  int* token;         // token of each place
  int* place;         // place of each pair
  int* tile_expert;   // expert of each tile of rows; tiles beyond the last hold -1
  int* tile_row;      // first place of each tile
  int* tile_end;      // place after each tile's last
  int pairs;
  int top_k;
  int experts;
  int tile;       // rows of a tile
  int max_tiles;  // tiles there is room for
};

static const int ORDER_THREADS = 256;

// Each thread takes a run of pairs, so threads in order are pairs in order.
struct Run {
  int first;
  int end;
  DEVICE explicit Run(int pairs) {
    int length = ceil_div(pairs, ORDER_THREADS);
    first = smaller(pairs, thread_index() * length);
    end = smaller(pairs, first + length);
  }
};

// The sum of the values of the threads before this one; in `total` that of all.
DEVICE int sum_before(int value, int* scratch, int* total) {
  int t = thread_index();
  scratch[t] = value;
  sync_block();
  for (int reach = 1; reach < ORDER_THREADS; reach *= 2) {
    int earlier = t >= reach ? scratch[t - reach] : 0;
    sync_block();
    scratch[t] += earlier;
    sync_block();
  }
  *total = scratch[ORDER_THREADS - 1];
  int before = scratch[t] - value;
  sync_block();
  return before;
}

// Grid (experts).
KERNEL(count_pairs, OrderArgs, ORDER_THREADS) {
  SHARED int scratch[ORDER_THREADS];
  Run run(args.pairs);
  int count = 0;
  for (int i = run.first; i < run.end; i++) {
    count += args.chosen[i] == block_x() ? 1 : 0;
  }
  int total;
  sum_before(count, scratch, &total);
  if (thread_index() == 0) {
    args.counts[block_x()] = total;
  }
}

// Grid (experts), after count_pairs.
KERNEL(order_pairs, OrderArgs, ORDER_THREADS) {
  SHARED int scratch[ORDER_THREADS];
  int expert = block_x();
  int own_pairs = 0;
  int own_tiles = 0;
  for (int e = thread_index(); e < expert; e += ORDER_THREADS) {
    own_pairs += args.counts[e];
    own_tiles += ceil_div(args.counts[e], args.tile);
  }
  int start;
  int first_tile;
  sum_before(own_pairs, scratch, &start);
  sum_before(own_tiles, scratch, &first_tile);

  Run run(args.pairs);
  int count = 0;
  for (int i = run.first; i < run.end; i++) {
    count += args.chosen[i] == expert ? 1 : 0;
  }
  int total;
  int at = start + sum_before(count, scratch, &total);
  for (int i = run.first; i < run.end; i++) {
    if (args.chosen[i] == expert) {
      args.token[at] = i / args.top_k;
      args.place[i] = at++;
    }
  }
  int tiles = ceil_div(total, args.tile);
  for (int i = thread_index(); i < tiles; i += ORDER_THREADS) {
    args.tile_expert[first_tile + i] = expert;
    args.tile_row[first_tile + i] = start + i * args.tile;
    args.tile_end[first_tile + i] = start + smaller(total, (i + 1) * args.tile);
  }
  if (expert == args.experts - 1) {
    for (int i = first_tile + tiles + thread_index(); i < args.max_tiles; i += ORDER_THREADS) {
      args.tile_expert[i] = -1;
    }
  }
}

// ---- grouped products ------------------------------------------------------------------------------

struct GroupedArgs {
  const void* x;          // [tokens or places, depth]
  const float* x_scales;  // FP8
  const void* w;          // of each expert: gate above up [2 columns, depth], or down [columns, depth]
  const float* w_scales;
  void* out;  // bf16 or float [places, columns]
  const int* token;
  const int* tile_expert;
  const int* tile_row;
  const int* tile_end;
  int64_t expert_stride;  // elements of an expert's weights; words if INT4
  int64_t scale_stride;   // an expert's scales
  int columns;
  int depth;
  int block_rows;  // E4m3Weights
  int group;       // Int4Weights
};

struct ExpertBf16 {
  DEVICE static Bf16Rows x(const GroupedArgs& args) {
    return Bf16Rows{(const uint16_t*)args.x, args.depth};
  }
  DEVICE static Bf16Rows w(const GroupedArgs& args, int expert, int) {
    return Bf16Rows{(const uint16_t*)args.w + expert * args.expert_stride, args.depth};
  }
};

struct ExpertFp8 {
  DEVICE static E4m3Activations x(const GroupedArgs& args) {
    return E4m3Activations{(const uint8_t*)args.x, args.x_scales, args.depth};
  }
  DEVICE static E4m3Weights w(const GroupedArgs& args, int expert, int split) {
    return E4m3Weights{(const uint8_t*)args.w + expert * args.expert_stride,
                       args.w_scales + expert * args.scale_stride, args.depth, split,
                       args.block_rows};
  }
};

struct ExpertInt4 {
  DEVICE static Bf16Rows x(const GroupedArgs& args) {
    return Bf16Rows{(const uint16_t*)args.x, args.depth};
  }
  DEVICE static Int4Weights w(const GroupedArgs& args, int expert, int) {
    return Int4Weights{(const uint32_t*)args.w + expert * args.expert_stride,
                       args.w_scales + expert * args.scale_stride, args.depth, args.group};
  }
};

// Weights from a later row on.
template <class W>
struct Below {
  static const bool SCALED = W::SCALED;
  W rows;
  int offset;
  DEVICE float at(int row, int k) const { return rows.at(row + offset, k); }
  DEVICE float scale(int row, int block) const { return rows.scale(row + offset, block); }
};

template <class A>
DEVICE Gathered<A> gathered(const A& rows, const int* source) {
  return Gathered<A>{rows, source};
}

// silu(gate x) * (up x) of each place's token, to bf16. Grid (tiles of columns, tiles of places).
template <int RM, class Form>
DEVICE void gate_up(const GroupedArgs& args) {
  SHARED TileScratch<RM> scratch;
  int expert = args.tile_expert[block_y()];
  if (expert < 0) {
    return;
  }
  int row = args.tile_row[block_y()];
  int end = args.tile_end[block_y()];
  int column = block_x() * TILE_COLUMNS;
  auto w = Form::w(args, expert, args.columns);
  auto x = gathered(Form::x(args), args.token);
  Tile<RM> gate;
  multiply_tile<RM>(gate, scratch, x, w, row, end, column, args.columns, args.depth);
  Tile<RM> up;
  Below<decltype(w)> below{w, args.columns};
  multiply_tile<RM>(up, scratch, x, below, row, end, column, args.columns, args.depth);
#pragma unroll
  for (int i = 0; i < RM; i++) {
#pragma unroll
    for (int j = 0; j < 4; j++) {
      int r = row + Tile<RM>::row(i);
      int c = column + Tile<RM>::column(j);
      if (r < end && c < args.columns) {
        ((uint16_t*)args.out)[(int64_t)r * args.columns + c] =
            to_bf16(gated(gate.sums[i][j], up.sums[i][j]));
      }
    }
  }
}
KERNEL(gate_up_bf16_16, GroupedArgs, PRODUCT_THREADS) { gate_up<1, ExpertBf16>(args); }
KERNEL(gate_up_bf16_64, GroupedArgs, PRODUCT_THREADS) { gate_up<4, ExpertBf16>(args); }
KERNEL(gate_up_fp8_16, GroupedArgs, PRODUCT_THREADS) { gate_up<1, ExpertFp8>(args); }
KERNEL(gate_up_fp8_64, GroupedArgs, PRODUCT_THREADS) { gate_up<4, ExpertFp8>(args); }
KERNEL(gate_up_int4_16, GroupedArgs, PRODUCT_THREADS) { gate_up<1, ExpertInt4>(args); }
KERNEL(gate_up_int4_64, GroupedArgs, PRODUCT_THREADS) { gate_up<4, ExpertInt4>(args); }

// down of each place, to float.
template <int RM, class Form>
DEVICE void down(const GroupedArgs& args) {
  SHARED TileScratch<RM> scratch;
  int expert = args.tile_expert[block_y()];
  if (expert < 0) {
    return;
  }
  int row = args.tile_row[block_y()];
  int end = args.tile_end[block_y()];
  int column = block_x() * TILE_COLUMNS;
  Tile<RM> tile;
  multiply_tile<RM>(tile, scratch, Form::x(args), Form::w(args, expert, args.columns), row, end,
                    column, args.columns, args.depth);
#pragma unroll
  for (int i = 0; i < RM; i++) {
#pragma unroll
    for (int j = 0; j < 4; j++) {
      int r = row + Tile<RM>::row(i);
      int c = column + Tile<RM>::column(j);
      if (r < end && c < args.columns) {
        ((float*)args.out)[(int64_t)r * args.columns + c] = tile.sums[i][j];
      }
    }
  }
}
KERNEL(down_bf16_16, GroupedArgs, PRODUCT_THREADS) { down<1, ExpertBf16>(args); }
KERNEL(down_bf16_64, GroupedArgs, PRODUCT_THREADS) { down<4, ExpertBf16>(args); }
KERNEL(down_fp8_16, GroupedArgs, PRODUCT_THREADS) { down<1, ExpertFp8>(args); }
KERNEL(down_fp8_64, GroupedArgs, PRODUCT_THREADS) { down<4, ExpertFp8>(args); }
KERNEL(down_int4_16, GroupedArgs, PRODUCT_THREADS) { down<1, ExpertInt4>(args); }
KERNEL(down_int4_64, GroupedArgs, PRODUCT_THREADS) { down<4, ExpertInt4>(args); }

// ---- back ------------------------------------------------------------------------------------------

struct CombineArgs {
  float* out;            // [tokens, columns], added to
  const float* results;  // [places, columns]
  const float* weights;  // [tokens, top_k]
  const int* place;      // of each pair
  int columns;
  int top_k;
};

// Grid (tokens).
KERNEL(combine_experts, CombineArgs, ORDER_THREADS) {
  int64_t t = block_x();
  for (int c = thread_index(); c < args.columns; c += ORDER_THREADS) {
    float total = 0.0f;
    for (int k = 0; k < args.top_k; k++) {
      int64_t place = args.place[t * args.top_k + k];
      total = fused(args.weights[t * args.top_k + k], args.results[place * args.columns + c], total);
    }
    args.out[t * args.columns + c] = sum(args.out[t * args.columns + c], total);
  }
}
