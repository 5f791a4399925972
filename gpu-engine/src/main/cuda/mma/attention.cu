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
// Multi-head latent attention in its absorbed form over the paged cache, on tensor cores, for latents
// of 512 and rotated keys of 64 (DeepSeek-V2, arXiv 2405.04434).
//
// Entry i a token sees is as in the simple kernels (attention.cu). The softmax runs online over tiles
// of 32 entries, in splits of 512 that begin at multiples of 512; the splits are combined in order.
// So a row's bits are a function of its own entries alone. Queries and weights are rounded to bf16.
//
// A block takes a token, a split and 16 HM heads: four warps to 16 heads. Of a tile's scores each
// computes a quarter, 16 entries by every other 32 of the 576 columns; of the latents it sums 128.
#include "mma/forms.cuh"
#include "step.cuh"

static const int LATENT = 512;
static const int ROPE = 64;
static const int WIDTH = LATENT + ROPE;
static const int ROW_BYTES = WIDTH * 2;
static const int SPLIT = 512;
static const int ENTRIES = 32;
static const int TILE_BYTES = ENTRIES * ROW_BYTES;
static const int COPIES = ROW_BYTES / 128;
static const int THREADS = 256;

// ---- queries -----------------------------------------------------------------------------------------

struct PrepareArgs {
  uint16_t* unrotated;     // bf16 [tokens, heads, nope]
  uint16_t* queries;       // bf16 [tokens, heads, WIDTH]: the part beyond the latent is written
  const float* q;          // [tokens, heads, nope + rope], the first of them token `first`
  const float* rotations;  // [positions, rope]
  const int* step;
  int first;
  int heads;
  int nope;
};

// Grid (tokens).
KERNEL(mma_prepare_queries, PrepareArgs, THREADS) {
  StepLayout step{args.step};
  int t = args.first + block_x();
  if (t >= step.tokens()) {
    return;
  }
  int width = args.nope + ROPE;
  const float* q = args.q + (int64_t)block_x() * args.heads * width;
  uint16_t* unrotated = args.unrotated + (int64_t)block_x() * args.heads * args.nope;
  for (int i = thread_index(); i < args.heads * args.nope; i += THREADS) {
    unrotated[i] = to_bf16(q[i / args.nope * width + i % args.nope]);
  }
  const float* turn = args.rotations + (int64_t)step.position(t) * ROPE;
  uint16_t* queries = args.queries + (int64_t)block_x() * args.heads * WIDTH + LATENT;
  for (int i = thread_index(); i < args.heads * ROPE / 2; i += THREADS) {
    int head = i / (ROPE / 2);
    int pair = 2 * (i % (ROPE / 2));
    const float* x = q + head * width + args.nope + pair;
    uint16_t* to = queries + head * WIDTH + pair;
    to[0] = to_bf16(product(x[0], turn[pair]) - product(x[1], turn[pair + 1]));
    to[1] = to_bf16(product(x[0], turn[pair + 1]) + product(x[1], turn[pair]));
  }
}

// ---- attention ---------------------------------------------------------------------------------------

struct AttendArgs {
  uint16_t* out;            // bf16 [tokens, heads, LATENT]: of tokens with one split
  float* sums;              // [tokens, heads, splits, LATENT], not normalised: of the others
  float* extremes;          // largest score, of base two, and total [tokens, heads, splits, 2]
  const uint16_t* queries;  // bf16 [tokens, heads, WIDTH]
  const uint16_t* cache;    // bf16 [blocks, block_size, WIDTH] of one layer
  const int* step;
  int first;   // token of the queries' first row
  int splits;  // room for each row's splits
  int heads;
  int block_size;
  float scale;
};

// Where a row in shared memory has the 16 bytes `piece` of each 128: rows one apart have them in
// different halves, and no two of eight rows at one place.
DEVICE int swizzle(int piece, int row) { return piece ^ ((row & 1) << 2 | (row >> 1 & 3)); }

// Where the scores of a row have an entry's: rows one apart meet in no bank.
DEVICE int score_place(int row, int entry) { return row * ENTRIES + (entry ^ (row & 3) << 3); }

// Eight columns of a row, of the first, or second, 32 of each 64 columns, which are 128 bytes apart.
DEVICE const char* inputs(const char* rows, int row, int half, int piece) {
  return rows + row * ROW_BYTES + swizzle(half * 4 + piece, row) * 16;
}

// Brings tiles of cache entries into shared memory: eight lanes copy an entry.
template <int HM>
struct TileCopies {
  static const int AT_ONCE = HM < 2 ? 16 * HM : ENTRIES;
  static const int ROUNDS = ENTRIES / AT_ONCE;
  const AttendArgs& args;
  int table;      // of the token's blocks, in the step's layout
  int ancestors;  // likewise: what the token sees from entry `prefix` on, counted from there
  int prefix;
  int end;
  int next;         // first entry of the lane's in the next tile
  int row[ROUNDS];  // of the cache, of the next tile's entries; below 0 for none

  DEVICE TileCopies(const AttendArgs& args, const StepLayout& step, int token, int begin, int end)
      : args(args),
        table((int)(step.block_table(token) - step.base)),
        ancestors((int)(step.ancestors_of(token) - step.base)),
        prefix(step.prefix_length(token)),
        end(end),
        next(begin + thread_index() / 8) {
    find();
  }

  // Ahead of the copies, which wait for what this reads.
  DEVICE void find() {
#pragma unroll
    for (int i = 0; i < ROUNDS; i++) {
      int seen = next + i * AT_ONCE;
      row[i] = -1;
      if (seen < end) {
        int entry = seen < prefix ? seen : args.step[ancestors + seen - prefix];
        row[i] = args.step[table + entry / args.block_size] * args.block_size +
                 entry % args.block_size;
      }
    }
    next += ENTRIES;
  }

  DEVICE void start(char* tile) {
    if (thread_index() >= AT_ONCE * 8) {
      return;
    }
    int piece = thread_index() % 8;
#pragma unroll
    for (int i = 0; i < ROUNDS; i++) {
      int entry = thread_index() / 8 + i * AT_ONCE;
      bool inside = row[i] >= 0;
      const char* from = (const char*)(args.cache + (int64_t)(inside ? row[i] : 0) * WIDTH) + piece * 16;
      char* to = tile + entry * ROW_BYTES + swizzle(piece, entry) * 16;
#pragma unroll
      for (int c = 0; c < COPIES; c++) {
        copy_16(to + c * 128, from + c * 128, inside);
      }
    }
    find();
  }
};

// Grid (tokens, groups of heads, splits). Dynamic shared memory: queries, scores, two tiles.
template <int HM>
DEVICE void attend_latents(const AttendArgs& args) {
  const int ROWS = HM * MMA_ROWS;
  StepLayout step{args.step};
  int t = args.first + block_x();
  int begin = block_z() * SPLIT;
  if (t >= step.tokens() || begin >= step.visible(t)) {
    return;
  }
  int end = smaller(step.visible(t), begin + SPLIT);
  int first_head = block_y() * ROWS;
  int heads = smaller(ROWS, args.heads - first_head);
  char* queries = dynamic_shared();
  float* scores = (float*)(queries + ROWS * ROW_BYTES);
  char* ring = (char*)(scores + 2 * ROWS * ENTRIES);
  int lane = thread_index() % WARP;
  int warp = thread_index() / WARP;
  int m = warp % HM * MMA_ROWS + lane / 4;  // the lane's rows are m and m + 8
  int n = warp / HM;
  int quad = lane % 4;
  // The warp's quarter of a tile's scores.
  int half = n % 2;
  int first_entry = n / 2 * 16;
  // What lanes name for ldmatrix: 16 heads, two times eight columns; the next step's; eight entries.
  const char* query = inputs(queries, m - lane / 4 + lane % 16, half, lane / 16);
  const char* next_query = inputs(queries, m - lane / 4 + lane % 16, half, 2 + lane / 16);

  const char* from = (const char*)(args.queries + ((int64_t)block_x() * args.heads + first_head) * WIDTH);
  for (int i = thread_index(); i < ROWS * COPIES * 8; i += HM * 4 * WARP) {
    int row = i / (COPIES * 8);
    int piece = i % (COPIES * 8);
    copy_16(queries + row * ROW_BYTES + piece / 8 * 128 + swizzle(piece % 8, row) * 16,
            from + (row < heads ? row : 0) * ROW_BYTES + piece * 16, row < heads);
  }
  TileCopies<HM> copies(args, step, t, begin, end);
  copies.start(ring);
  end_copies();

  float sums[16][4] = {};
  float largest[2] = {-infinity(), -infinity()};
  float total[2] = {0.0f, 0.0f};
  float scale = product(args.scale, 1.44269504f);  // to powers of two
  int at = 0;  // of the tile in the ring
  for (int count = end - begin; count > 0; count -= ENTRIES) {
    await_copies<0>();
    sync_block();
    if (count > ENTRIES) {
      copies.start(ring + (TILE_BYTES - at));
    }
    end_copies();
    const char* tile = ring + at;
    at = TILE_BYTES - at;

    const char* key = inputs(tile, first_entry + lane % 8, half, lane / 8);
    float part[2][4] = {};
#pragma unroll
    for (int c = 0; c < COPIES; c++) {
      uint32_t a[2][4];
      load_matrices(a[0], query + c * 128);
      load_matrices(a[1], next_query + c * 128);
      uint32_t b[2][4];
#pragma unroll
      for (int j = 0; j < 2; j++) {
        load_matrices(b[j], key + j * 8 * ROW_BYTES + c * 128);
      }
#pragma unroll
      for (int s = 0; s < 2; s++) {
#pragma unroll
        for (int j = 0; j < 2; j++) {
          multiply(part[j], a[s], b[j][2 * s], b[j][2 * s + 1]);
        }
      }
    }
#pragma unroll
    for (int j = 0; j < 2; j++) {
#pragma unroll
      for (int h = 0; h < 2; h++) {
        int place = score_place(m + h * 8, first_entry + j * 8 + quad * 2);
        *(Floats2*)(scores + half * ROWS * ENTRIES + place) = {part[j][2 * h], part[j][2 * h + 1]};
      }
    }
    sync_block();

    // Each warp of the heads has all their scores, a lane those that its operand of weights holds:
    // of entries 8 j + 2 quad and the next.
    uint32_t weights[2][4];
    float shrink[2];
    int left = count - quad * 2;
#pragma unroll
    for (int h = 0; h < 2; h++) {
      float score[4][2];
      float most = largest[h];
#pragma unroll
      for (int j = 0; j < 4; j++) {
        const float* at = scores + score_place(m + h * 8, j * 8 + quad * 2);
        Floats2 one = *(const Floats2*)at;
        Floats2 other = *(const Floats2*)(at + ROWS * ENTRIES);
        score[j][0] = left > j * 8 ? product(sum(one.x, other.x), scale) : -infinity();
        score[j][1] = left > j * 8 + 1 ? product(sum(one.y, other.y), scale) : -infinity();
        most = fmaxf(most, fmaxf(score[j][0], score[j][1]));
      }
      most = fmaxf(most, shuffle_xor(most, 1));
      most = fmaxf(most, shuffle_xor(most, 2));
      shrink[h] = largest[h] == most ? 1.0f : power_of_two(largest[h] - most);
      largest[h] = most;
      float added = 0.0f;
#pragma unroll
      for (int j = 0; j < 4; j++) {
        float first = power_of_two(score[j][0] - most);
        float second = power_of_two(score[j][1] - most);
        added = sum(added, sum(first, second));
        weights[j / 2][j % 2 * 2 + h] = pair_of(first, second);
      }
      added = sum(added, shuffle_xor(added, 1));
      added = sum(added, shuffle_xor(added, 2));
      total[h] = fused(total[h], shrink[h], added);
    }
    if (shrink[0] != 1.0f || shrink[1] != 1.0f) {
#pragma unroll
      for (int j = 0; j < 16; j++) {
#pragma unroll
        for (int e = 0; e < 4; e++) {
          sums[j][e] = product(sums[j][e], shrink[e / 2]);
        }
      }
    }
    // Of 16 entries and 16 columns: lanes 0 to 7 name entries 0 to 7 at columns 0 to 7, the next
    // entries 8 to 15, the others those at columns 8 to 15.
    const char* values = tile + lane % 16 * ROW_BYTES + n * 256;
    int piece = swizzle(lane / 16, lane % 16);
#pragma unroll 1
    for (int s = 0; s < 2; s++) {
      uint32_t own[4];
#pragma unroll
      for (int i = 0; i < 4; i++) {
        own[i] = s == 0 ? weights[0][i] : weights[1][i];
      }
#pragma unroll
      for (int j = 0; j < 8; j++) {
        uint32_t pairs[4];
        load_transposed(pairs, values + s * 16 * ROW_BYTES + j / 4 * 128 + (piece ^ j % 4 * 2) * 16);
        multiply(sums[2 * j], own, pairs[0], pairs[1]);
        multiply(sums[2 * j + 1], own, pairs[2], pairs[3]);
      }
    }
  }

#pragma unroll
  for (int h = 0; h < 2; h++) {
    if (m + 8 * h >= heads) {
      continue;
    }
    int64_t row = (int64_t)block_x() * args.heads + first_head + m + 8 * h;
    int column = n * 128 + quad * 2;
    if (step.visible(t) <= SPLIT) {
      float inverse = quotient(1.0f, total[h]);
      uint16_t* out = args.out + row * LATENT + column;
#pragma unroll
      for (int j = 0; j < 16; j++) {
        *(uint32_t*)(out + j * 8) =
            pair_of(product(sums[j][2 * h], inverse), product(sums[j][2 * h + 1], inverse));
      }
    } else {
      int64_t split = row * args.splits + block_z();
      float* out = args.sums + split * LATENT + column;
#pragma unroll
      for (int j = 0; j < 16; j++) {
        out[j * 8] = sums[j][2 * h];
        out[j * 8 + 1] = sums[j][2 * h + 1];
      }
      if (n == 0 && quad == 0) {
        args.extremes[2 * split] = largest[h];
        args.extremes[2 * split + 1] = total[h];
      }
    }
  }
}
KERNEL(mma_attend_16, AttendArgs, 128) { attend_latents<1>(args); }
KERNEL(mma_attend_32, AttendArgs, 256) { attend_latents<2>(args); }
KERNEL(mma_attend_64, AttendArgs, 512) { attend_latents<4>(args); }

// The splits of a token that has several, in order, normalised. Grid (tokens, heads).
KERNEL(mma_combine_splits, AttendArgs, THREADS) {
  StepLayout step{args.step};
  int t = args.first + block_x();
  if (t >= step.tokens() || step.visible(t) <= SPLIT) {
    return;
  }
  int count = ceil_div(step.visible(t), SPLIT);
  int64_t row = (int64_t)block_x() * args.heads + block_y();
  const float* extremes = args.extremes + 2 * row * args.splits;
  float largest = -infinity();
  for (int s = 0; s < count; s++) {
    largest = fmaxf(largest, extremes[2 * s]);
  }
  float total = 0.0f;
  for (int s = 0; s < count; s++) {
    total = fused(extremes[2 * s + 1], power_of_two(extremes[2 * s] - largest), total);
  }
  for (int c = thread_index(); c < LATENT; c += THREADS) {
    float value = 0.0f;
    for (int s = 0; s < count; s++) {
      float weight = power_of_two(extremes[2 * s] - largest);
      value = fused(args.sums[(row * args.splits + s) * LATENT + c], weight, value);
    }
    args.out[row * LATENT + c] = to_bf16(quotient(value, total));
  }
}
