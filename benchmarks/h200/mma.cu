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
// The mma kernels of gpu-engine/src/main/cuda/mma on a device, against float64 and in time.
//
// nvcc -std=c++17 -O3 -gencode=arch=compute_90a,code=sm_90a -I../../gpu-engine/src/main/cuda -o mma mma.cu
// ./mma [few|checks] [times|attention|experts|dense]
#include "mma_attention.cuh"
#include "mma_products.cuh"

int main(int count, char** words) {
  std::vector<std::string> asked(words + 1, words + count);
  auto has = [&](const char* word) { return std::find(asked.begin(), asked.end(), word) != asked.end(); };
  if (has("few")) {
    for (Kind kind : {BF16, FP8, INT4}) {
      check({kind, 0, 19, 137, 296, false, 72, 48, 32});
      check({kind, 5, 60, 40, 136, true, 40, 16, 32});
      check({kind, 5, 40, 136, 72, false, 136, 16, 32});
    }
    check({BF16, 0, 9, 33, 17, false, 33, 16, 32});
    check_attention(5, 20, {1, 33, 530});
  }
  if (has("checks")) {
    check_attention(1, 16, {1, 2, 31, 32, 33, 511, 512, 513, 1100});
    check_attention(20, 20, {7, 64, 600, 1025, 2000});
    check_attention(64, 64, {1, 100, 513, 3000});
    checks();
  }
  bool all = has("times");
  if (all || has("attention") || has("experts") || has("dense")) {
    double rate = copy_rate();
    std::printf("device copy %.0f GB/s\n", rate);
    if (all || has("attention")) {
      time_attention(rate);
    }
    for (Kind kind : {FP8, INT4, BF16}) {
      if (all || has("experts")) {
        time_experts(kind, rate);
      }
      if (all || has("dense")) {
        time_dense(kind, rate);
      }
    }
  }
  std::printf("%d failures\n", failures);
  return failures > 0;
}
