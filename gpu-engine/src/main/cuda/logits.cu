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
// What sampling asks of whole rows of logits. A block takes a row; thread i takes elements i,
// i + THREADS, ..., and the threads' results are combined in a fixed tree.
#include "device.cuh"

static const int THREADS = 256;

struct ArgmaxArgs {
  int* out;             // [rows]
  const float* logits;  // [rows, width]
  int width;
};

// The lowest index of the largest element; NaN is passed over, 0 if nothing else is there.
KERNEL(argmax, ArgmaxArgs, THREADS) {
  SHARED float values[THREADS];
  SHARED int indices[THREADS];
  const float* row = args.logits + (int64_t)block_x() * args.width;
  int t = thread_index();
  float value = -infinity();
  int index = args.width;
  for (int i = t; i < args.width; i += THREADS) {
    float x = row[i];
    if (x > value || (x == value && index == args.width)) {
      value = x;
      index = i;
    }
  }
  values[t] = value;
  indices[t] = index;
  sync_block();
  for (int reach = THREADS / 2; reach > 0; reach /= 2) {
    if (t < reach) {
      float other = values[t + reach];
      if (other > values[t] || (other == values[t] && indices[t + reach] < indices[t])) {
        values[t] = other;
        indices[t] = indices[t + reach];
      }
    }
    sync_block();
  }
  if (t == 0) {
    args.out[block_x()] = indices[0] < args.width ? indices[0] : 0;
  }
}

struct LogProbabilityArgs {
  double* out;          // [queries]
  const float* logits;  // [rows, width]
  const int* starts;    // first query of each distinct row, and their number after the last
  const int* rows;      // row of each query
  const int* tokens;    // token of each query
  int width;
};

// log softmax(row)[token] of the queries of one row: grid (distinct rows). NaN if any logit is.
KERNEL(log_probabilities, LogProbabilityArgs, THREADS) {
  SHARED float scratch[THREADS / WARP];
  SHARED double sums[THREADS];
  int first = args.starts[block_x()];
  int end = args.starts[block_x() + 1];
  const float* row = args.logits + (int64_t)args.rows[first] * args.width;
  int t = thread_index();
  float most = -infinity();
  for (int i = t; i < args.width; i += THREADS) {
    most = fmaxf(most, row[i]);
  }
  most = block_max<THREADS>(most, scratch);
  double total = 0.0;
  for (int i = t; i < args.width; i += THREADS) {
    total = sum(total, (double)exponential(row[i] - most));
  }
  sums[t] = total;
  sync_block();
  for (int reach = THREADS / 2; reach > 0; reach /= 2) {
    if (t < reach) {
      sums[t] = sum(sums[t], sums[t + reach]);
    }
    sync_block();
  }
  double logarithm = log(sums[0]);
  for (int i = first + t; i < end; i += THREADS) {
    args.out[i] = (double)row[args.tokens[i]] - (double)most - logarithm;
  }
}
