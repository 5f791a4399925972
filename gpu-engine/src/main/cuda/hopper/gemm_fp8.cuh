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
// The inside of an FP8 product: copies, wgmma and block scales. What becomes of the sums is gemm_fp8.cu's.
#pragma once

#include "layout.cuh"
#include "ptx.cuh"
#include "ring.cuh"
#include "schedule.cuh"
#include "wgmma.cuh"

namespace moontide {
namespace fp8 {

/**
 * Shared memory of a kernel whose tile is Rows rows of activations × Pair weight tiles.
 *
 * Below 128 rows the weights are wgmma's M and the rows its N; at 128 rows the other way round.
 */
template <int Rows, int Pair, int Extra>
struct Shape {
  static constexpr bool kSwapped = Rows < 128;
  static constexpr int kStage = Pair * kTileBytes + Rows * kRowBytes;
  static constexpr int kScales = Rows * 4;
  static constexpr int kFit = (kLimit - Extra - 1024) / (kStage + kScales + 16);
  static constexpr int kStages = kFit > 12 ? 12 : kFit;
  static constexpr int kExtraAt = kStages * kStage;
  static constexpr int kScalesAt = kExtraAt + Extra;
  static constexpr int kBarriersAt = kScalesAt + kStages * kScales;
  // 1,008 bytes of alignment: dynamic shared memory starts at a multiple of 16.
  static constexpr int kBytes = kBarriersAt + kStages * 16 + 1008;
};

struct Operands {
  const uint8_t* a;
  const float* aScale;
  int64_t aRows;
  const uint8_t* w;
  const float* wScale;
  int kBlocks;
  int featureTiles;
};

/** One lane: streams the stages of every tile of this block, running ahead across tiles. */
template <class S, int Rows, int Pair>
__device__ __forceinline__ void produce(
    const Operands& o, const Schedule& schedule, uint32_t shared, uint32_t full, uint32_t empty) {
  Ring ring;
  // Looking a tile up takes less time than the stages in flight last: nothing is fetched ahead here.
  for (int index = blockIdx.x; index < schedule.count(); index += gridDim.x) {
    Work work = schedule.at(index);
    int64_t firstTile =
        (static_cast<int64_t>(work.expert) * o.featureTiles + work.feature * Pair) * o.kBlocks;
    const uint8_t* w = o.w + firstTile * kTileBytes;
    uint32_t scaleBytes = ((work.rows + 3) & ~3) * 4;
    uint32_t rowBytes = work.rows * kRowBytes;
    uint32_t bytes = Pair * kTileBytes + rowBytes + scaleBytes;
    for (int k = work.kBegin; k < work.kEnd; k++) {
      uint32_t stage = shared + ring.stage * S::kStage;
      uint32_t barrier = full + ring.stage * 8;
      barrier_wait(empty + ring.stage * 8, ring.parity ^ 1);
      barrier_expect(barrier, bytes);
#pragma unroll
      for (int p = 0; p < Pair; p++) {
        bulk_load(stage + p * kTileBytes, w + (static_cast<int64_t>(p) * o.kBlocks + k) * kTileBytes,
                  kTileBytes, barrier);
      }
      int64_t at = k * o.aRows + work.row;
      bulk_load(stage + Pair * kTileBytes, o.a + at * kRowBytes, rowBytes, barrier);
      bulk_load(shared + S::kScalesAt + ring.stage * S::kScales, o.aScale + at, scaleBytes, barrier);
      ring.next<S::kStages>();
    }
  }
}

/** The scales of Pair weight tiles along K, 32 blocks at a time: lane l holds that of block base + l. */
template <int Pair>
struct WeightScales {
  const float* from;
  int kBlocks;
  int end;
  float now[Pair];
  float ahead[Pair];

  __device__ __forceinline__ void load(float (&to)[Pair], int k) {
#pragma unroll
    for (int p = 0; p < Pair; p++) {
      to[p] = k < end ? __ldg(from + static_cast<int64_t>(p) * kBlocks + k) : 0.f;
    }
  }

  __device__ __forceinline__ void start(const Operands& o, const Work& work, int lane) {
    from = o.wScale +
           (static_cast<int64_t>(work.expert) * o.featureTiles + work.feature * Pair) * o.kBlocks;
    kBlocks = o.kBlocks;
    end = work.kEnd;
    load(ahead, work.kBegin + lane);
  }

  /** Before block `kBegin + step`, steps being visited in order: every 32nd needs the next loads. */
  __device__ __forceinline__ void advance(int step, int k, int lane) {
    if (step % 32 == 0) {
#pragma unroll
      for (int p = 0; p < Pair; p++) {
        now[p] = ahead[p];
      }
      load(ahead, k + 32 + lane);
    }
  }

  __device__ __forceinline__ float of(int pair, int step) const {
    return __shfl_sync(0xffffffffu, now[pair], step % 32);
  }
};

/** c of one K block: M operand `m`, N operand `n`, both images in shared memory. */
template <int Size>
__device__ __forceinline__ void multiply_block(float (&c)[Size], uint32_t m, uint32_t n) {
  uint64_t a = k_major(m);
  uint64_t b = k_major(n);
#pragma unroll
  for (int k = 0; k < 4; k++) {
    mma_fp8(c, a + 2 * k, b + 2 * k, k > 0);
  }
}

/** acc = fma(c, scale of the row · scale of the weights, acc). Rows are N: two scales every four numbers. */
template <int Size>
__device__ __forceinline__ void promote_columns(
    float (&acc)[Size], const float (&c)[Size], const float* rowScale, float weightScale, int lane) {
#pragma unroll
  for (int j = 0; j < Size / 4; j++) {
    float2 s = *reinterpret_cast<const float2*>(rowScale + 8 * j + 2 * (lane & 3));
    float s0 = s.x * weightScale;
    float s1 = s.y * weightScale;
    acc[4 * j] = __fmaf_rn(c[4 * j], s0, acc[4 * j]);
    acc[4 * j + 1] = __fmaf_rn(c[4 * j + 1], s1, acc[4 * j + 1]);
    acc[4 * j + 2] = __fmaf_rn(c[4 * j + 2], s0, acc[4 * j + 2]);
    acc[4 * j + 3] = __fmaf_rn(c[4 * j + 3], s1, acc[4 * j + 3]);
  }
}

/** The same where rows are M: a thread has two of them. */
template <int Size>
__device__ __forceinline__ void promote_rows(
    float (&acc)[Size], const float (&c)[Size], float first, float second) {
#pragma unroll
  for (int j = 0; j < Size / 4; j++) {
    acc[4 * j] = __fmaf_rn(c[4 * j], first, acc[4 * j]);
    acc[4 * j + 1] = __fmaf_rn(c[4 * j + 1], first, acc[4 * j + 1]);
    acc[4 * j + 2] = __fmaf_rn(c[4 * j + 2], second, acc[4 * j + 2]);
    acc[4 * j + 3] = __fmaf_rn(c[4 * j + 3], second, acc[4 * j + 3]);
  }
}

/** Blocks in flight at once: their sums c take 64 registers. */
template <int Rows, int Pair>
constexpr int kGroup = Rows >= 128 ? 1 : (128 / (Rows * Pair) > 4 ? 4 : 128 / (Rows * Pair));

/** Multiplies G consecutive K blocks with the weights as M (warpgroup `group` takes 64 rows of each tile). */
template <class S, int Rows, int Pair, int G>
__device__ __forceinline__ void blocks_swapped(
    float (&acc)[Pair][Rows / 2], WeightScales<Pair>& scales, Ring& ring, int step, char* base,
    uint32_t shared, uint32_t full, uint32_t empty, int group, int lane) {
  float c[G][Pair][Rows / 2];
  int stages[G];
#pragma unroll
  for (int g = 0; g < G; g++) {
    stages[g] = ring.stage;
    barrier_wait(full + ring.stage * 8, ring.parity);
    ring.next<S::kStages>();
    mma_fence();
    uint32_t stage = shared + stages[g] * S::kStage;
#pragma unroll
    for (int p = 0; p < Pair; p++) {
      multiply_block(c[g][p], stage + p * kTileBytes + group * (kTileBytes / 2),
                     stage + Pair * kTileBytes);
    }
    mma_commit();
  }
#pragma unroll
  for (int g = 0; g < G; g++) {
    if (g == G - 1) {
      mma_wait<0>();
    } else if (g == G - 2) {
      mma_wait<1>();
    } else if (g == G - 3) {
      mma_wait<2>();
    } else {
      mma_wait<3>();
    }
    const float* rowScale =
        reinterpret_cast<const float*>(base + S::kScalesAt + stages[g] * S::kScales);
#pragma unroll
    for (int p = 0; p < Pair; p++) {
      promote_columns(acc[p], c[g][p], rowScale, scales.of(p, step + g), lane);
    }
    if (lane == 0) {
      barrier_arrive(empty + stages[g] * 8);
    }
  }
}

/** Multiplies one K block with the rows as M (warpgroup `group` takes 64 of the 128). */
template <class S, int Rows, int Pair>
__device__ __forceinline__ void block_straight(
    float (&acc)[Pair][64], WeightScales<Pair>& scales, Ring& ring, int step, char* base,
    uint32_t shared, uint32_t full, uint32_t empty, int group, int warp, int lane) {
  float c[64];
  uint32_t stage = shared + ring.stage * S::kStage;
  barrier_wait(full + ring.stage * 8, ring.parity);
  const float* rowScale = reinterpret_cast<const float*>(base + S::kScalesAt +
                                                         ring.stage * S::kScales) +
                          group * 64 + warp * 16 + lane / 4;
  float first = rowScale[0];
  float second = rowScale[8];
#pragma unroll
  for (int p = 0; p < Pair; p++) {
    mma_fence();
    multiply_block(c, stage + Pair * kTileBytes + group * (kTileBytes / 2), stage + p * kTileBytes);
    mma_commit();
    float weightScale = scales.of(p, step);
    mma_wait<0>();
    if (p == Pair - 1 && lane == 0) {
      barrier_arrive(empty + ring.stage * 8);
    }
    promote_rows(acc[p], c, first * weightScale, second * weightScale);
  }
  ring.next<S::kStages>();
}

/** The whole kernel but for what becomes of a tile's sums: `finish(acc, work, group, warp, lane)`. */
template <class S, int Rows, int Pair, class Finish>
__device__ __forceinline__ void run(
    const Operands& o, const Schedule& schedule, char* base, Finish finish) {
  uint32_t shared = shared_address(base);
  uint32_t full = shared + S::kBarriersAt;
  uint32_t empty = full + S::kStages * 8;
  if (threadIdx.x == 0) {
    for (int i = 0; i < S::kStages; i++) {
      barrier_init(full + i * 8, 1);
      barrier_init(empty + i * 8, kMathThreads / 32);
    }
    barrier_init_fence();
  }
  __syncthreads();
  // The same in every lane, which the compiler cannot know: so descriptors are in uniform registers from the start.
  int warp = __shfl_sync(0xffffffffu, threadIdx.x / 32, 0);
  int lane = threadIdx.x % 32;
  if (warp >= kMathThreads / 32) {
    registers_down<24>();
    if (warp == kMathThreads / 32 && lane == 0) {
      produce<S, Rows, Pair>(o, schedule, shared, full, empty);
    }
  } else {
    registers_up<240>();
    int group = warp / 4;
    Ring ring;
    int index = blockIdx.x;
    Work next = schedule.at_or_none(index);
    WeightScales<Pair> scales;
    scales.start(o, next, lane);
    while (next.rows > 0) {
      // The next tile is looked up, and its scales are fetched, while this one is worked on.
      Work work = next;
      index += gridDim.x;
      next = schedule.at_or_none(index);
      float acc[Pair][Rows / 2];
#pragma unroll
      for (int p = 0; p < Pair; p++) {
#pragma unroll
        for (int i = 0; i < Rows / 2; i++) {
          acc[p][i] = 0.f;
        }
      }
      int steps = work.kEnd - work.kBegin;
      int step = 0;
      if constexpr (S::kSwapped) {
        constexpr int G = kGroup<Rows, Pair>;
        for (; step + G <= steps; step += G) {
          scales.advance(step, work.kBegin + step, lane);
          blocks_swapped<S, Rows, Pair, G>(acc, scales, ring, step, base, shared, full, empty, group,
                                           lane);
        }
        for (; step < steps; step++) {
          scales.advance(step, work.kBegin + step, lane);
          blocks_swapped<S, Rows, Pair, 1>(acc, scales, ring, step, base, shared, full, empty, group,
                                           lane);
        }
      } else {
        for (; step < steps; step++) {
          scales.advance(step, work.kBegin + step, lane);
          block_straight<S, Rows, Pair>(acc, scales, ring, step, base, shared, full, empty, group,
                                        warp % 4, lane);
        }
      }
      scales.start(o, next, lane);
      finish(acc, work, group, warp % 4, lane);
    }
  }
}

}  // namespace fp8
}  // namespace moontide
