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
// The router's choice of experts (noaux_tc, DeepSeek-V3, arXiv 2412.19437 section 2.1.2).
#include "device.cuh"

static const int THREADS = 128;
// A warp chooses for a token.
static const int TOKENS = THREADS / WARP;

struct RouteArgs {
  int* chosen;          // [tokens, top_k], ascending
  float* weights;       // [tokens, top_k]
  const float* logits;  // [parts][tokens, experts]: a logit is the sum of its parts
  const float* bias;    // [experts]
  int64_t part_stride;  // numbers from one part to the next
  int tokens;
  int parts;
  int experts;
  int top_k;
  int groups;
  int top_groups;
  int normalise;
  float scale;
};

// The sum of a group's two best scores; its only one if it has one.
DEVICE float group_score(const float* scores, int size) {
  float first = -infinity();
  float second = -infinity();
  for (int e = 0; e < size; e++) {
    float score = scores[e];
    second = score > first ? first : fmaxf(second, score);
    first = fmaxf(first, score);
  }
  return size > 1 ? sum(first, second) : first;
}

// A score and its expert; `experts` where there is none.
struct Candidate {
  float score;
  int expert;

  // The better of two: the higher score, of equal ones the lower number.
  DEVICE void take(float other, int number, int experts) {
    if (number < experts && (expert == experts || other > score || (other == score && number < expert))) {
      score = other;
      expert = number;
    }
  }
};

// The best of a lane's experts; NaN marks those taken.
DEVICE Candidate best_of(const float* scores, int lane, int experts) {
  Candidate best = {-infinity(), experts};
  for (int e = lane; e < experts; e += WARP) {
    float score = scores[e];
    if (score == score) {
      best.take(score, e, experts);
    }
  }
  return best;
}

// Grid: a block for TOKENS tokens. Dynamic shared memory: for each token probabilities and scores of
// the experts, scores of the groups, and the chosen.
KERNEL(route, RouteArgs, THREADS) {
  int warp = thread_index() / WARP;
  int lane = thread_index() % WARP;
  float* probabilities = (float*)dynamic_shared() + warp * (2 * args.experts + args.groups + args.top_k);
  float* scores = probabilities + args.experts;
  float* group_scores = scores + args.experts;
  int* chosen = (int*)(group_scores + args.groups);
  // Warps beyond the last token compute it too, and keep it to themselves.
  int64_t at = (int64_t)block_x() * TOKENS + warp;
  int64_t token = at < args.tokens ? at : args.tokens - 1;

  for (int e = lane; e < args.experts; e += WARP) {
    float logit = args.logits[token * args.experts + e];
#pragma unroll 8
    for (int part = 1; part < args.parts; part++) {
      logit = sum(logit, args.logits[part * args.part_stride + token * args.experts + e]);
    }
    float p = quotient(1.0f, sum(1.0f, exponential(-logit)));
    float score = sum(p, args.bias[e]);
    probabilities[e] = p;
    scores[e] = score != score ? -infinity() : score;
  }
  sync_block();

  int size = args.experts / args.groups;
  if (args.top_groups < args.groups) {
    for (int g = lane; g < args.groups; g += WARP) {
      group_scores[g] = group_score(scores + g * size, size);
    }
    sync_block();
    for (int g = lane; g < args.groups; g += WARP) {
      int better = 0;
      for (int other = 0; other < args.groups; other++) {
        better += group_scores[other] > group_scores[g] ||
                          (group_scores[other] == group_scores[g] && other < g)
                      ? 1
                      : 0;
      }
      for (int e = g * size; better >= args.top_groups && e < (g + 1) * size; e++) {
        scores[e] = -infinity();
      }
    }
    sync_block();
  }

  Candidate mine = best_of(scores, lane, args.experts);
  for (int k = 0; k < args.top_k; k++) {
    Candidate best = mine;
#pragma unroll
    for (int lanes = WARP / 2; lanes > 0; lanes /= 2) {
      float score = shuffle_xor(best.score, lanes);
      int expert = (int)float_bits(shuffle_xor(bits_float((uint32_t)best.expert), lanes));
      best.take(score, expert, args.experts);
    }
    if (lane == best.expert % WARP) {
      scores[best.expert] = not_a_number();
      mine = best_of(scores, lane, args.experts);
    }
    if (lane == 0) {
      int place = k;
      while (place > 0 && chosen[place - 1] > best.expert) {
        chosen[place] = chosen[place - 1];
        place--;
      }
      chosen[place] = best.expert;
    }
  }

  if (lane == 0 && at < args.tokens) {
    float total = 0.0f;
    for (int k = 0; k < args.top_k; k++) {
      total = sum(total, probabilities[chosen[k]]);
    }
    // Kept from zero as the published model does.
    float divisor = args.normalise ? sum(total, 1e-20f) : 1.0f;
    for (int k = 0; k < args.top_k; k++) {
      float weight = product(quotient(probabilities[chosen[k]], divisor), args.scale);
      args.chosen[token * args.top_k + k] = chosen[k];
      args.weights[token * args.top_k + k] = weight;
    }
  }
}
