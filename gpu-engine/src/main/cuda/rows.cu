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
// Operations on single rows: a block computes one row, so a row's bits are its own.
#include "step.cuh"

static const int THREADS = 256;

struct EmbedArgs {
  float* x;               // [rows, hidden]
  const uint16_t* table;  // bf16 [vocabulary, hidden]
  const int* step;
  int hidden;
};

KERNEL(embed, EmbedArgs, THREADS) {
  StepLayout step{args.step};
  int t = block_x();
  if (t >= step.tokens()) {
    return;
  }
  const uint16_t* from = args.table + (int64_t)step.token_id(t) * args.hidden;
  float* to = args.x + (int64_t)t * args.hidden;
  for (int i = thread_index(); i < args.hidden; i += THREADS) {
    to[i] = from_bf16(from[i]);
  }
}

struct NormArgs {
  void* out;          // float or bf16 [rows, width]
  const float* x;     // [rows, stride]
  const float* gain;  // [width]
  int width;
  int stride;
  int from;  // first column normalised
  float epsilon;
  int operand;  // whether out is bf16
};

// 1 / sqrt(mean(x^2) + epsilon); thread i sums elements i, i + THREADS, ...
DEVICE float inverse_root_mean_square(const float* x, int width, float epsilon, float* scratch) {
  float squares = 0.0f;
  for (int i = thread_index(); i < width; i += THREADS) {
    squares = fused(x[i], x[i], squares);
  }
  squares = block_sum<THREADS>(squares, scratch);
  return quotient(1.0f, root(sum(quotient(squares, (float)width), epsilon)));
}

KERNEL(rms_norm, NormArgs, THREADS) {
  SHARED float scratch[THREADS / WARP];
  const float* x = args.x + (int64_t)block_x() * args.stride + args.from;
  float scale = inverse_root_mean_square(x, args.width, args.epsilon, scratch);
  int64_t row = (int64_t)block_x() * args.width;
  for (int i = thread_index(); i < args.width; i += THREADS) {
    float value = product(product(x[i], scale), args.gain[i]);
    if (args.operand) {
      ((uint16_t*)args.out)[row + i] = to_bf16(value);
    } else {
      ((float*)args.out)[row + i] = value;
    }
  }
}

struct SwigluArgs {
  uint16_t* out;         // bf16 [rows, width]
  const float* gate_up;  // [rows, 2 width]
  int width;
};

KERNEL(swiglu, SwigluArgs, THREADS) {
  const float* gate = args.gate_up + (int64_t)block_x() * 2 * args.width;
  uint16_t* out = args.out + (int64_t)block_x() * args.width;
  for (int i = thread_index(); i < args.width; i += THREADS) {
    out[i] = to_bf16(gated(gate[i], gate[args.width + i]));
  }
}

struct QuantizeArgs {
  uint8_t* out;       // e4m3 [rows, columns]
  float* scales;      // [rows, ceil(columns / 128)]
  const uint16_t* x;  // bf16 [rows, columns]
  int columns;
};

static const int GROUP = 128;

// To e4m3 by row and group of 128 columns: scale = max(amax, 1e-4) / 448. A group with NaN becomes
// NaN. One warp a group; grid (rows, ceil(groups / 8)).
KERNEL(quantize, QuantizeArgs, THREADS) {
  int lane = thread_index() % WARP;
  int group = block_y() * (THREADS / WARP) + thread_index() / WARP;
  int groups = ceil_div(args.columns, GROUP);
  if (group >= groups) {
    return;
  }
  int first = group * GROUP;
  int end = smaller(first + GROUP, args.columns);
  int64_t row = (int64_t)block_x() * args.columns;
  float most = 0.0f;
  for (int i = first + lane; i < end; i += WARP) {
    most = fmaxf(most, fabsf(from_bf16(args.x[row + i])));
  }
  float scale = quotient(fmaxf(warp_max(most), 1e-4f), 448.0f);
  for (int i = first + lane; i < end; i += WARP) {
    args.out[row + i] = to_e4m3(quotient(from_bf16(args.x[row + i]), scale));
  }
  if (lane == 0) {
    args.scales[(int64_t)block_x() * groups + group] = scale;
  }
}

struct GatherArgs {
  float* out;      // [count, columns]
  const float* x;  // [tokens, columns]
  const int* step;
  int columns;
  int first;
};

KERNEL(gather_logit_rows, GatherArgs, THREADS) {
  StepLayout step{args.step};
  int row = args.first + block_x();
  if (row >= step.logit_rows()) {
    return;
  }
  const float* from = args.x + (int64_t)step.logit_token(row) * args.columns;
  float* to = args.out + (int64_t)block_x() * args.columns;
  for (int i = thread_index(); i < args.columns; i += THREADS) {
    to[i] = from[i];
  }
}

struct AppendArgs {
  uint16_t* cache;         // bf16 [blocks, block_size, latent + rope] of one layer
  const float* kv;         // [tokens, stride]
  const float* gain;       // [latent]
  const float* rotations;  // cosine and sine of each pair [positions, rope]
  const int* step;
  int stride;
  int from;  // column of the latent; the key follows it
  int latent;
  int rope;
  int block_size;
  float epsilon;
};

// A token's cache entry: the normalised latent and the rotated key.
KERNEL(append_latent, AppendArgs, THREADS) {
  SHARED float scratch[THREADS / WARP];
  StepLayout step{args.step};
  int t = block_x();
  if (t >= step.tokens()) {
    return;
  }
  const float* latent = args.kv + (int64_t)t * args.stride + args.from;
  float scale = inverse_root_mean_square(latent, args.latent, args.epsilon, scratch);
  int index = step.cache_index(t);
  int64_t entry = (int64_t)step.block_table(t)[index / args.block_size] * args.block_size +
                  index % args.block_size;
  uint16_t* to = args.cache + entry * (args.latent + args.rope);
  for (int i = thread_index(); i < args.latent; i += THREADS) {
    to[i] = to_bf16(product(product(latent[i], scale), args.gain[i]));
  }
  const float* key = latent + args.latent;
  const float* turn = args.rotations + (int64_t)step.position(t) * args.rope;
  for (int i = 2 * thread_index(); i < args.rope; i += 2 * THREADS) {
    float a = product(key[i], turn[i]) - product(key[i + 1], turn[i + 1]);
    float b = product(key[i], turn[i + 1]) + product(key[i + 1], turn[i]);
    to[args.latent + i] = to_bf16(a);
    to[args.latent + i + 1] = to_bf16(b);
  }
}
