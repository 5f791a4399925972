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
// Log-probabilities of tokens by rows of logits. A block takes a row; thread i takes elements i,
// i + THREADS, ..., and the threads' results are combined in a fixed tree.
#include "device.cuh"

static const int THREADS = 256;

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
