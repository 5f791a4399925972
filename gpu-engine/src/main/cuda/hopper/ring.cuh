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
// What kernels with one copying warp and two multiplying warpgroups share.
#pragma once

#include "ptx.cuh"

namespace moontide {

constexpr int kMathThreads = 256;
/** Shared memory a block may have on sm_90. */
constexpr int kLimit = 227 * 1024;

/** A position in the ring of stages. */
struct Ring {
  int stage = 0;
  uint32_t parity = 0;

  template <int Stages>
  __device__ __forceinline__ void next() {
    if (++stage == Stages) {
      stage = 0;
      parity ^= 1;
    }
  }
};

/**
 * The next of `total` pieces of work, in order, for whichever block asks first; `total` or more when there is none,
 * after which a block asks no more. The last block to hear so leaves the counter as it was before the launch: launches
 * that share one must not overlap.
 */
__device__ __forceinline__ int draw(int* counter, int total) {
  int index = atomicAdd(counter, 1);
  if (index == total + static_cast<int>(gridDim.x) - 1) {
    *counter = 0;
  }
  return index;
}

/** Dynamic shared memory from its first multiple of 1,024. */
__device__ __forceinline__ char* aligned_shared(char* raw) {
  return raw + ((1024 - (shared_address(raw) & 1023)) & 1023);
}

}  // namespace moontide
