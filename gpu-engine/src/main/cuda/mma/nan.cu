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
// Looks for NaN in weights in FP8, which the conversion to bf16 (forms.cuh) does not keep.
#include "mma/warp.cuh"

struct FindNanArgs {
  const char* codes;  // of E4M3, aligned to 16 bytes
  int64_t* found;     // gets `number` and the place of any NaN
  int64_t bytes;
  int64_t number;
  int blocks;  // of the grid
};

static const int FIND_THREADS = 256;

DEVICE bool has_nan(uint32_t codes) { return (((codes & 0x7f7f7f7fu) + 0x01010101u) & 0x80808080u) != 0; }

DEVICE void find_nan(const FindNanArgs& args, int64_t from, int64_t end) {
  for (int64_t i = from; i < end; i++) {
    if ((args.codes[i] & 0x7f) == 0x7f) {
      *args.found = args.number + i;
    }
  }
}

// Grid (blocks).
KERNEL(mma_find_nan, FindNanArgs, FIND_THREADS) {
  int64_t whole = args.bytes / 16;
  int64_t step = (int64_t)args.blocks * FIND_THREADS;
  int64_t first = (int64_t)block_x() * FIND_THREADS + thread_index();
  for (int64_t i = first; i < whole; i += step) {
    Words4 words = ((const Words4*)args.codes)[i];
    if (has_nan(words.x) || has_nan(words.y) || has_nan(words.z) || has_nan(words.w)) {
      find_nan(args, i * 16, i * 16 + 16);
    }
  }
  if (first == 0) {
    find_nan(args, whole * 16, args.bytes);
  }
}
