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

struct RouteArgs {
  int* chosen;          // [tokens, top_k], ascending
  float* weights;       // [tokens, top_k]
  const float* logits;  // [parts][tokens, experts]: a logit is the sum of its parts
  const float* bias;    // [experts]
  int64_t part_stride;  // numbers from one part to the next
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

// One token a block. Dynamic shared memory: probabilities, scores and flags of the experts, scores
// of the groups, the best score and expert of each thread, and the chosen.
KERNEL(route, RouteArgs, THREADS) {
  float* probabilities = (float*)dynamic_shared();
  float* scores = probabilities + args.experts;
  int* taken = (int*)(scores + args.experts);
  float* group_scores = (float*)(taken + args.experts);
  float* best_score = group_scores + args.groups;
  int* best_expert = (int*)(best_score + THREADS);
  int* chosen = best_expert + THREADS;
  int64_t token = block_x();
  int t = thread_index();

  for (int e = t; e < args.experts; e += THREADS) {
    float logit = args.logits[token * args.experts + e];
    for (int part = 1; part < args.parts; part++) {
      logit = sum(logit, args.logits[part * args.part_stride + token * args.experts + e]);
    }
    float p = quotient(1.0f, sum(1.0f, exponential(-logit)));
    float score = sum(p, args.bias[e]);
    probabilities[e] = p;
    scores[e] = score != score ? -infinity() : score;
    taken[e] = 0;
  }
  sync_block();

  int size = args.experts / args.groups;
  if (args.top_groups < args.groups) {
    for (int g = t; g < args.groups; g += THREADS) {
      group_scores[g] = group_score(scores + g * size, size);
    }
    sync_block();
    for (int g = t; g < args.groups; g += THREADS) {
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

  for (int k = 0; k < args.top_k; k++) {
    float score = -infinity();
    int expert = args.experts;
    for (int e = t; e < args.experts; e += THREADS) {
      if (!taken[e] && (expert == args.experts || scores[e] > score)) {
        score = scores[e];
        expert = e;
      }
    }
    best_score[t] = score;
    best_expert[t] = expert;
    sync_block();
    for (int reach = THREADS / 2; reach > 0; reach /= 2) {
      if (t < reach) {
        float other = best_score[t + reach];
        int index = best_expert[t + reach];
        if (index < args.experts &&
            (best_expert[t] == args.experts || other > best_score[t] ||
             (other == best_score[t] && index < best_expert[t]))) {
          best_score[t] = other;
          best_expert[t] = index;
        }
      }
      sync_block();
    }
    if (t == 0) {
      int at = k;
      while (at > 0 && chosen[at - 1] > best_expert[0]) {
        chosen[at] = chosen[at - 1];
        at--;
      }
      chosen[at] = best_expert[0];
      taken[best_expert[0]] = 1;
    }
    sync_block();
  }

  if (t == 0) {
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
