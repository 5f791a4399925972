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
// What the kernels of attention.cu share: their work, the merging of pieces, the output.
#pragma once

#include "layout.cuh"
#include "ptx.cuh"
#include "ring.cuh"
#include "store.cuh"

namespace moontide {
namespace attention {

constexpr int kPiece = 1024;
constexpr int kLatentSlabs = 8;
/** What 256 threads have of a piece: 128 sums each, two maxima and two denominators. */
constexpr int kPartialFloats = 256 * 132;

constexpr int kPagesAt = kPageBytes;
constexpr int kMaximaAt = 3 * kPageBytes;
constexpr int kSumsAt = kMaximaAt + 2 * 64 * 4;
constexpr int kBarriersAt = kSumsAt + 2 * 64 * 4;
// Barriers: queries full and empty; nine slabs full for each page; three groups of slabs empty for each page.
constexpr int kFullAt = kBarriersAt + 16;
constexpr int kEmptyAt = kFullAt + 2 * kPageSlabs * 8;
/** Groups of slabs that become free together: latent columns 0 to 255, 256 to 511, and the rotated key. */
enum Group { kLeft = 0, kRight = 1, kRope = 2 };

struct Item {
  int row;
  int piece;
};

__device__ __forceinline__ uint32_t full_barrier(uint32_t shared, int page, int slab) {
  return shared + kFullAt + (page * kPageSlabs + slab) * 8;
}

__device__ __forceinline__ uint32_t empty_barrier(uint32_t shared, int page, int group) {
  return shared + kEmptyAt + (page * 3 + group) * 8;
}

/** Which entries of which row and image a block works on. */
struct Work {
  int row;
  int image;
  int length;
  int firstPiece;
  int endPiece;

  /** Whether other items have the rest of the row. */
  __device__ __forceinline__ bool partial() const {
    return endPiece - firstPiece < (length + kPiece - 1) / kPiece;
  }
};

struct Worklist {
  const int* length;
  const Item* items;
  int count;
  int images;

  __device__ __forceinline__ Work at(int index) const {
    Work work = {0, index % images, 0, 0, 0};
    if (items != nullptr) {
      Item item = items[index / images];
      work.row = item.row;
      work.length = length[item.row];
      work.firstPiece = item.piece;
      work.endPiece = item.piece + 1;
    } else {
      work.row = index / images;
      work.length = length[work.row];
      work.endPiece = (work.length + kPiece - 1) / kPiece;
    }
    return work;
  }
};

/** How two parts of a row's softmax become one: o = o1 · first + o2 · second. */
struct Merge {
  float first;
  float second;

  /** `maximum` and `sum` are the first part's and become both parts'. */
  __device__ __forceinline__ Merge(float& maximum, float& sum, float maximum2, float sum2) {
    float m = fmaxf(maximum, maximum2);
    first = exp2_fast(maximum - m);
    second = exp2_fast(maximum2 - m);
    sum = __fmaf_rn(sum2, second, __fmul_rn(sum, first));
    maximum = m;
  }

  __device__ __forceinline__ float of(float o1, float o2) const {
    return __fmaf_rn(o2, second, __fmul_rn(o1, first));
  }
};

/** Writes a thread's sums, divided by their denominators, to the panel that value_up reads. */
__device__ __forceinline__ void store_row(
    float (&o)[128], const float (&sum)[2], const Work& work, int heads, uint8_t* out, int64_t outRows,
    int group, int warp, int lane) {
#pragma unroll
  for (int half = 0; half < 2; half++) {
    float inverse = __frcp_rn(sum[half]);
    int head = work.image * 64 + warp * 16 + lane / 4 + 8 * half;
#pragma unroll
    for (int j = 0; j < 32; j++) {
      o[4 * j + 2 * half] = __fmul_rn(o[4 * j + 2 * half], inverse);
      o[4 * j + 2 * half + 1] = __fmul_rn(o[4 * j + 2 * half + 1], inverse);
    }
    visit_bf16(o, half, lane, [&](int column, uint4 eight) {
      if (head < heads) {
        int byte = 2 * (group * 256 + column);
        uint8_t* to = out + (static_cast<int64_t>(head) * kLatentSlabs + byte / kRowBytes) * outRows * kRowBytes +
                      image_offset(work.row, byte % kRowBytes);
        *reinterpret_cast<uint4*>(to) = eight;
      }
    });
  }
}

}  // namespace attention
}  // namespace moontide
