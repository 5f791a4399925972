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
// Draws tokens from rows of logits as dev.moontide.sampling.Sampler does, bit for bit: floats and
// doubles are rounded once an operation, sums are of integers, whose order does not show. A block
// takes a row. A row of logits becomes one of weights, e^x cut to multiples of 2^-40: the mass is
// the weight's integer, and the bits of a positive float are in the order of its value, so that
// their digits select the largest masses without sorting them.
#include "device.cuh"

static const int THREADS = 1024;
static const int WARPS = THREADS / WARP;
// Blocks of a multiprocessor; those of 8.6 and 8.9 hold 1,536 threads, others 2,048.
#if defined(__CUDA_ARCH__) && (__CUDA_ARCH__ == 860 || __CUDA_ARCH__ == 890)
#define DRAWS 1
#else
#define DRAWS 2
#endif

// A token to be drawn; dev.moontide.cuda.Logits writes it.
struct Draw {
  uint64_t seed;
  uint64_t row_key;
  double temperature;
  double top_p;
  double min_p;
  double repetition;
  double frequency;
  double presence;
  int row;
  int sample_index;
  int position;
  int top_k;
  int seen;  // its seen tokens
  int seen_end;
  int mask;  // below 0: all tokens are allowed
  int unused;
};

struct DrawArgs {
  int* out;       // [draws]: the token, -1 where there is none to draw
  float* logits;  // [rows, width], lost where drawn from
  const Draw* draws;
  const int* seen_tokens;
  const int* seen_counts;
  const uint32_t* masks;  // [end_mask - first_mask, mask_words]: a bit for each token
  int width;
  int mask_words;
  int first_mask;  // draws with other masks are left to other launches
  int end_mask;
};

// Digits of keys; a thread of the block for each value.
static const int DIGIT_BITS = 10;
static const int KEY_BITS = 3 * DIGIT_BITS;
static const uint32_t DIGIT_MASK = THREADS - 1;

// What a block shares.
struct Space {
  float values[THREADS];
  int indices[THREADS];
  // By digit: how many keys have it, and their masses' sum in two words.
  uint32_t counts[THREADS];
  uint32_t low[THREADS];
  uint32_t high[THREADS];
  // Running sums.
  uint32_t tokens[THREADS];
  uint64_t masses[THREADS];
  // What one thread tells the others.
  uint32_t digit;
  uint32_t token_count;
  uint64_t mass;
  int from;
  int end;
};

// Keys above the threshold and the first few equal to it, in the vocabulary's order; their mass.
struct Selection {
  uint32_t threshold;
  uint32_t equals;
  uint64_t mass;
};

// ---- numbers ------------------------------------------------------------------------------------

// Mass.of over 2^40.
DEVICE float weight_of(float x) {
  if (!(x >= -28.0f)) {
    return 0.0f;
  }
  int n = (int)sum(product(x, 1.442695f), -0.5f);
  float r = sum(sum(x, -product((float)n, 355.0f / 512.0f)), -product((float)n, -2.12194440e-4f));
  float p = sum(product(1.9875691e-4f, r), 1.3981999e-3f);
  p = sum(product(p, r), 8.333452e-3f);
  p = sum(product(p, r), 4.1665796e-2f);
  p = sum(product(p, r), 1.6666666e-1f);
  p = sum(product(p, r), 0.5f);
  float e = sum(sum(product(p, product(r, r)), r), 1.0f);
  uint32_t bits = float_bits(product(e, bits_float((uint32_t)(127 + n) << 23)));
  // Its last bit counts 2^(exponent - 23).
  int dropped = -17 - ((int)(bits >> 23) - 127);
  return dropped > 23 ? 0.0f : bits_float(dropped > 0 ? bits >> dropped << dropped : bits);
}

DEVICE uint64_t mass_of(float weight) { return (uint64_t)product(weight, 0x1p40f); }

// 0 of weight 0, else from 1 on: at most 2^29.
DEVICE uint32_t key_of(float weight) {
  return weight > 0.0f ? float_bits(weight) - float_bits(0x1p-40f) + 1 : 0;
}
DEVICE float weight_of_key(uint32_t key) { return bits_float(key - 1 + float_bits(0x1p-40f)); }

// Philox4x32-10; the counter is (position, sample index, row key), the key the seed.
DEVICE uint64_t philox(const Draw& draw) {
  uint32_t c0 = (uint32_t)draw.position;
  uint32_t c1 = (uint32_t)draw.sample_index;
  uint32_t c2 = (uint32_t)draw.row_key;
  uint32_t c3 = (uint32_t)(draw.row_key >> 32);
  uint32_t k0 = (uint32_t)draw.seed;
  uint32_t k1 = (uint32_t)(draw.seed >> 32);
  for (int round = 0; round < 10; round++) {
    uint64_t product0 = (uint64_t)0xD2511F53u * c0;
    uint64_t product1 = (uint64_t)0xCD9E8D57u * c2;
    c0 = (uint32_t)(product1 >> 32) ^ c1 ^ k0;
    c1 = (uint32_t)product1;
    c2 = (uint32_t)(product0 >> 32) ^ c3 ^ k1;
    c3 = (uint32_t)product0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c0 | (uint64_t)c1 << 32;
}

// ---- steps of a draw ----------------------------------------------------------------------------

// No token is there twice, so no two threads write the same logit.
DEVICE void penalise(float* row, const Draw& draw, const DrawArgs& args) {
  for (int i = draw.seen + thread_index(); i < draw.seen_end; i += THREADS) {
    int token = args.seen_tokens[i];
    int count = args.seen_counts[i];
    double logit = row[token];
    logit = logit > 0.0 ? quotient(logit, draw.repetition) : product(logit, draw.repetition);
    if (count > 0) {
      logit = sum(logit, -sum(product(draw.frequency, (double)count), draw.presence));
    }
    row[token] = (float)logit;
  }
  sync_block();
}

// The largest logit into values[0], +infinity if any is NaN; the first place of it into indices[0].
// Tokens that the mask, if there is one, does not allow get -infinity.
DEVICE void find_largest(float* row, int width, const uint32_t* mask, Space& space) {
  int t = thread_index();
  float value = -infinity();
  int index = width;
#pragma unroll 2
  for (int i = t; i < width; i += THREADS) {
    float x = row[i];
    if (mask && (mask[i / WARP] >> i % WARP & 1) == 0) {
      x = -infinity();
      row[i] = x;
    }
    x = x <= infinity() ? x : infinity();
    if (x > value) {
      value = x;
      index = i;
    }
  }
  space.values[t] = value;
  space.indices[t] = index;
  sync_block();
  for (int reach = THREADS / 2; reach > 0; reach /= 2) {
    if (t < reach) {
      float other = space.values[t + reach];
      if (other > space.values[t] ||
          (other == space.values[t] && space.indices[t + reach] < space.indices[t])) {
        space.values[t] = other;
        space.indices[t] = space.indices[t + reach];
      }
    }
    sync_block();
  }
}

// Turns logits into weights, those of less than min-p into 0; the sum of their masses.
DEVICE uint64_t weigh(float* row, int width, float largest, const Draw& draw, Space& space) {
  double inverse = quotient(1.0, draw.temperature);
  float scale = inverse < (double)0x1.fffffep127f ? (float)inverse : 0x1.fffffep127f;
  uint64_t least = (uint64_t)ceil(product(draw.min_p, 0x1p40));
  int t = thread_index();
  uint64_t total = 0;
#pragma unroll 2
  for (int i = t; i < width; i += THREADS) {
    float weight = weight_of(product(sum(row[i], -largest), scale));
    uint64_t mass = mass_of(weight);
    bool kept = mass >= least;
    row[i] = kept ? weight : 0.0f;
    total += kept ? mass : 0;
  }
  space.masses[t] = total;
  sync_block();
  for (int reach = THREADS / 2; reach > 0; reach /= 2) {
    if (t < reach) {
      space.masses[t] += space.masses[t + reach];
    }
    sync_block();
  }
  total = space.masses[0];
  sync_block();
  return total;
}

// Counts the keys that begin with the digits of prefix by their next one, which ends at shift.
DEVICE void count_digits(const float* row, int width, uint32_t prefix, int shift, Space& space) {
  int t = thread_index();
  space.counts[t] = 0;
  space.low[t] = 0;
  space.high[t] = 0;
  sync_block();
#pragma unroll 2
  for (int i = t; i < width; i += THREADS) {
    float weight = row[i];
    uint32_t key = key_of(weight);
    if (key > 0 && key >> shift >> DIGIT_BITS == prefix) {
      uint32_t digit = key >> shift & DIGIT_MASK;
      uint64_t mass = mass_of(weight);
      uint32_t low = (uint32_t)mass;
      add_shared(&space.counts[digit], 1);
      uint32_t carry = add_shared(&space.low[digit], low) + low < low ? 1 : 0;
      uint32_t high = (uint32_t)(mass >> 32) + carry;
      if (high > 0) {
        add_shared(&space.high[digit], high);
      }
    }
  }
  sync_block();
}

// Of the digits counted, from the highest down, the one that makes it `most` tokens or mass `sum`,
// into space.digit; tokens and mass, those above, are joined by what the digits above it have.
DEVICE void find_digit(uint32_t most, uint64_t sum, uint32_t& tokens, uint64_t& mass, Space& space) {
  int t = thread_index();
  int digit = THREADS - 1 - t;
  uint32_t own_tokens = space.counts[digit];
  uint64_t own_mass = (uint64_t)space.high[digit] << 32;
  own_mass += space.low[digit];
  space.tokens[t] = own_tokens;
  space.masses[t] = own_mass;
  sync_block();
  for (int reach = 1; reach < THREADS; reach *= 2) {
    uint32_t more_tokens = t >= reach ? space.tokens[t - reach] : 0;
    uint64_t more_mass = t >= reach ? space.masses[t - reach] : 0;
    sync_block();
    space.tokens[t] += more_tokens;
    space.masses[t] += more_mass;
    sync_block();
  }
  uint32_t tokens_after = tokens + space.tokens[t];
  uint64_t mass_after = mass + space.masses[t];
  uint32_t tokens_before = tokens_after - own_tokens;
  uint64_t mass_before = mass_after - own_mass;
  if (tokens_before < most && mass_before < sum && (tokens_after >= most || mass_after >= sum)) {
    space.digit = (uint32_t)digit;
    space.token_count = tokens_before;
    space.mass = mass_before;
  }
  sync_block();
  tokens = space.token_count;
  mass = space.mass;
}

// The largest masses, the lower index first among equals, until they are `most` or have mass `sum`,
// at most that of all.
DEVICE Selection cut(const float* row, int width, uint32_t most, uint64_t sum, Space& space) {
  uint32_t key = 0;
  uint32_t tokens = 0;
  uint64_t mass = 0;
  for (int shift = KEY_BITS - DIGIT_BITS; shift >= 0; shift -= DIGIT_BITS) {
    count_digits(row, width, key, shift, space);
    find_digit(most, sum, tokens, mass, space);
    key = key << DIGIT_BITS | space.digit;
    sync_block();
  }
  uint64_t each = mass_of(weight_of_key(key));
  uint64_t lacking = (sum - mass + each - 1) / each;
  uint32_t equals = most - tokens;
  equals = lacking < equals ? (uint32_t)lacking : equals;
  return Selection{key, equals, mass + equals * each};
}

// The token at which the running mass of the selection, in the vocabulary's order, first exceeds
// target. Each warp adds up a piece of the row; the piece it lies in is the next row.
DEVICE int locate(const float* row, int width, Selection selection, uint64_t target, Space& space) {
  int t = thread_index();
  int lane = t % WARP;
  uint64_t each = selection.threshold > 0 ? mass_of(weight_of_key(selection.threshold)) : 0;
  int from = 0;
  int end = width;
  uint32_t equals = selection.equals;
  while (end - from > 1) {
    int piece = ceil_div(end - from, WARPS);
    int first = from + t / WARP * piece;
    int last = smaller(end, first + piece);
    uint64_t mass = 0;
    uint32_t equal = 0;
#pragma unroll 2
    for (int i = first + lane; i < last; i += WARP) {
      float weight = row[i];
      uint32_t key = key_of(weight);
      mass += key > selection.threshold ? mass_of(weight) : 0;
      equal += key == selection.threshold ? 1 : 0;
    }
    space.masses[t] = mass;
    space.tokens[t] = equal;
    sync_block();
    for (int reach = WARP / 2; reach > 0; reach /= 2) {
      if (lane < reach) {
        space.masses[t] += space.masses[t + reach];
        space.tokens[t] += space.tokens[t + reach];
      }
      sync_block();
    }
    if (t == 0) {
      int at = from;
      while (true) {
        int warp = (at - from) / piece;
        uint32_t kept = space.tokens[warp * WARP] < equals ? space.tokens[warp * WARP] : equals;
        uint64_t there = space.masses[warp * WARP] + kept * each;
        if (target < there || at + piece >= end) {
          break;
        }
        target -= there;
        equals -= kept;
        at += piece;
      }
      space.from = at;
      space.end = smaller(end, at + piece);
      space.token_count = equals;
      space.mass = target;
    }
    sync_block();
    from = space.from;
    end = space.end;
    equals = space.token_count;
    target = space.mass;
    sync_block();
  }
  return from;
}

KERNEL_BLOCKS(draw, DrawArgs, THREADS, DRAWS) {
  SHARED Space space;
  const Draw& draw = args.draws[block_x()];
  float* row = args.logits + (int64_t)draw.row * args.width;
  int width = args.width;
  const uint32_t* mask = nullptr;
  if (draw.mask >= 0 ? draw.mask < args.first_mask || draw.mask >= args.end_mask : args.first_mask > 0) {
    return;
  }
  if (draw.mask >= 0) {
    mask = args.masks + (int64_t)(draw.mask - args.first_mask) * args.mask_words;
  }
  penalise(row, draw, args);
  find_largest(row, width, mask, space);
  float largest = space.values[0];
  int token = space.indices[0];
  if (!(largest > -infinity() && largest < infinity())) {
    token = -1;
  } else if (draw.temperature > 0.0) {
    uint64_t total = weigh(row, width, largest, draw, space);
    Selection selection = {0, 0, total};
    if (draw.top_k > 0) {
      selection = cut(row, width, (uint32_t)draw.top_k, total, space);
    }
    if (draw.top_p < 1.0) {
      total = selection.mass;
      uint64_t part = (uint64_t)ceil(product(draw.top_p, (double)total));
      selection = cut(row, width, 0xffffffffu, part < total ? part : total, space);
    }
    token = locate(row, width, selection, multiply_high(philox(draw) >> 1, selection.mass << 1), space);
  }
  if (thread_index() == 0) {
    args.out[block_x()] = token;
  }
}
