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
// FP8 products with 128 × 128 block scales, grouped by expert: out[r] = W[expert(r)] · a[r].
//
// Arithmetic, the same in every kernel here whatever the tile, so that a row's bits are its own: for each K
// block of 128 in ascending order four wgmma of K = 32 into a zeroed float32 sum c, then
// acc = fma(c, aScale · wScale, acc).
//
// Launch: grid = the multiprocessors (blocks loop over tiles), block = 384 threads (two warpgroups multiply, one
// warp copies), dynamic shared memory by the table, which the function must first be allowed to use.
//   kernel suffix   rows a tile   dynamic shared memory in bytes: gate_up   linear
//   _16             16                                            213,456   223,152
//   _32             32                                            228,176   227,872
//   _64             64                                            217,408   224,640
//   _128            128                                           216,112   199,728
// Pick the suffix by the step's rows per group (up to 16, 32, 64, more): it changes time, never bits.
//
// Arguments common to all, in order:
//   a, aScale   panel of activations (layout.cuh) and its scales; both 128-byte aligned
//   aRows       the panel's capacity in rows, a multiple of 8
//   w, wScale   weight tiles; expert e starts at e · featureTiles · kBlocks tiles
//   tiles       groups of rows, an entry a tile of the suffix's rows (RowGroup in layout.cuh), as moe_scan lists them
//               for that number of rows; or null: rows 0 to `rows` of expert 0
//   tileCount   device pointer to the number of tiles; unused when tiles is null
//   rows        rows when tiles is null
//   kBlocks     ⌈K / 128⌉
//   featureTiles  row tiles of w for one expert, even
// Rows outside the tiles are neither read nor written (scales are read in whole groups of four rows).
#include "layout.cuh"
#include "ptx.cuh"
#include "quantise.cuh"
#include "ring.cuh"
#include "store.cuh"
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

/** What a block works on next. */
struct Work {
  int expert;
  int row;
  /** 0 when there is no more. */
  int rows;
  int feature;
  int kBegin;
  int kEnd;
  int split;
};

/**
 * The order of tiles. Within a group row tiles come first, then features: blocks that run side by side read the
 * same weights, once from memory and then from L2, even when some are ahead of others.
 */
struct Schedule {
  const RowGroup* tiles;
  int rowTiles;
  int rows;
  int tileRows;
  int features;
  int splits;
  int kBlocks;

  __host__ __device__ int count() const { return rowTiles * features * splits; }

  __host__ __device__ Work at(int index) const {
    Work work;
    int perTile = features * splits;
    int rest;
    if (tiles != nullptr) {
      RowGroup group = tiles[index / perTile];
      int height = (group.rows + tileRows - 1) / tileRows;
      int inGroup = index - group.firstTile * perTile;
      int skipped = inGroup % height * tileRows;
      rest = inGroup / height;
      work.expert = group.expert;
      work.row = group.row + skipped;
      work.rows = group.rows - skipped;
    } else {
      // Sixteen row tiles by one feature tile, then the next features: a near-square piece at a time.
      int band = index / (16 * perTile);
      int height = rowTiles - band * 16;
      height = height < 16 ? height : 16;
      int inBand = index - band * 16 * perTile;
      rest = inBand / height;
      work.expert = 0;
      work.row = (band * 16 + inBand % height) * tileRows;
      work.rows = rows - work.row;
    }
    work.rows = work.rows < tileRows ? work.rows : tileRows;
    work.feature = rest % features;
    work.split = rest / features;
    work.kBegin = static_cast<int>(static_cast<int64_t>(kBlocks) * work.split / splits);
    work.kEnd = static_cast<int>(static_cast<int64_t>(kBlocks) * (work.split + 1) / splits);
    return work;
  }

  /** Work `index`, or none when there are fewer. */
  __device__ Work at_or_none(int index) const {
    return index < count() ? at(index) : Work{0, 0, 0, 0, 0, 0, 0};
  }
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

/**
 * The same for a tile of at most 64 rows: both warpgroups take them all, and weight tile `group` each, in acc[0].
 */
template <class S, int Rows, int Pair>
__device__ __forceinline__ void block_half(
    float (&acc)[64], WeightScales<Pair>& scales, Ring& ring, int step, char* base, uint32_t shared,
    uint32_t full, uint32_t empty, int group, int warp, int lane) {
  float c[64];
  uint32_t stage = shared + ring.stage * S::kStage;
  barrier_wait(full + ring.stage * 8, ring.parity);
  const float* rowScale = reinterpret_cast<const float*>(base + S::kScalesAt +
                                                         ring.stage * S::kScales) +
                          warp * 16 + lane / 4;
  float first = rowScale[0];
  float second = rowScale[8];
  mma_fence();
  multiply_block(c, stage + Pair * kTileBytes, stage + group * kTileBytes);
  mma_commit();
  float weightScale = group == 0 ? scales.of(0, step) : scales.of(Pair - 1, step);
  mma_wait<0>();
  if (lane == 0) {
    barrier_arrive(empty + ring.stage * 8);
  }
  promote_rows(acc, c, first * weightScale, second * weightScale);
  ring.next<S::kStages>();
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
  int warp = threadIdx.x / 32;
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
      } else if (work.rows <= 64) {
        for (; step < steps; step++) {
          scales.advance(step, work.kBegin + step, lane);
          block_half<S, Rows, Pair>(acc[0], scales, ring, step, base, shared, full, empty, group, warp % 4,
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

/** silu(gate) · up, the same instructions wherever it is computed. */
__device__ __forceinline__ float swiglu(float gate, float up) {
  return __fdividef(__fmul_rn(gate, up), __fadd_rn(1.f, __expf(-gate)));
}

__device__ __forceinline__ Schedule schedule_of(
    const RowGroup* tiles, const int* tileCount, int rows, int tileRows, int features, int splits,
    int kBlocks) {
  int rowTiles = tiles != nullptr ? *tileCount : (rows + tileRows - 1) / tileRows;
  return {tiles, rowTiles, rows, tileRows, features, splits, kBlocks};
}

/**
 * gate‖up with SwiGLU and quantisation. A weight tile pair is (gate tile f, up tile f): `featureTiles` counts
 * both. `out` panel: K block f is features 128f to 128f + 127 of the product, `outScale` its scales.
 */
template <int Rows>
struct GateUp {
  // Output image and, swapped, the maxima of eight warps.
  static constexpr int kExtra = Rows * kRowBytes + (Rows < 128 ? 1024 * ((8 * Rows * 4 + 1023) / 1024) : 0);
  using S = Shape<Rows, 2, kExtra>;

  char* base;
  uint8_t* out;
  float* outScale;
  int64_t outRows;

  __device__ __forceinline__ void operator()(
      float (&acc)[2][Rows / 2], const Work& work, int group, int warp, int lane) const {
    char* image = base + S::kExtraAt;
    int64_t at = work.feature * outRows + work.row;
    if constexpr (S::kSwapped) {
      float* maxima = reinterpret_cast<float*>(image + Rows * kRowBytes);
      int column = 2 * (lane & 3);
#pragma unroll
      for (int i = 0; i < Rows / 2; i++) {
        acc[0][i] = swiglu(acc[0][i], acc[1][i]);
      }
      if (threadIdx.x == 0) {
        bulk_wait_read();
      }
#pragma unroll
      for (int j = 0; j < Rows / 8; j++) {
#pragma unroll
        for (int i = 0; i < 2; i++) {
          float m = fmaxf(fabsf(acc[0][4 * j + i]), fabsf(acc[0][4 * j + 2 + i]));
#pragma unroll
          for (int distance = 4; distance < 32; distance *= 2) {
            m = fmaxf(m, __shfl_xor_sync(0xffffffffu, m, distance));
          }
          if (lane < 4) {
            maxima[(group * 4 + warp) * Rows + 8 * j + column + i] = m;
          }
        }
      }
      named_barrier(1, kMathThreads);
      int feature = group * 64 + warp * 16 + lane / 4;
#pragma unroll
      for (int j = 0; j < Rows / 8; j++) {
#pragma unroll
        for (int i = 0; i < 2; i++) {
          int row = 8 * j + column + i;
          float m = kFp8Smallest;
#pragma unroll
          for (int part = 0; part < 8; part++) {
            m = fmaxf(m, maxima[part * Rows + row]);
          }
          float inverse = __fdiv_rn(kFp8Max, m);
          image[image_offset(row, feature)] = to_fp8(__fmul_rn(acc[0][4 * j + i], inverse));
          image[image_offset(row, feature + 8)] = to_fp8(__fmul_rn(acc[0][4 * j + 2 + i], inverse));
          if (group == 0 && warp == 0 && lane < 4 && row < work.rows) {
            outScale[at + row] = __fdiv_rn(m, kFp8Max);
          }
        }
      }
      shared_proxy_fence();
      named_barrier(1, kMathThreads);
      if (threadIdx.x == 0) {
        bulk_store(out + at * kRowBytes, shared_address(image), work.rows * kRowBytes);
        bulk_commit();
      }
    } else {
      int thread = threadIdx.x % 128;
      if (work.rows <= 64) {
        // Warpgroup 1 has the up part of warpgroup 0's rows and hands it over, 16 KB at a time.
        if (thread == 0) {
          bulk_wait_read();
        }
        named_barrier(3, kMathThreads);
        float* exchange = reinterpret_cast<float*>(image) + thread;
#pragma unroll
        for (int pass = 0; pass < 2; pass++) {
          if (group == 1) {
#pragma unroll
            for (int i = 0; i < 32; i++) {
              exchange[i * 128] = acc[0][pass * 32 + i];
            }
          }
          named_barrier(3, kMathThreads);
          if (group == 0) {
#pragma unroll
            for (int i = 0; i < 32; i++) {
              acc[1][pass * 32 + i] = exchange[i * 128];
            }
          }
          named_barrier(3, kMathThreads);
        }
        if (group == 1) {
          return;
        }
      }
      float m[2] = {kFp8Smallest, kFp8Smallest};
#pragma unroll
      for (int i = 0; i < 64; i++) {
        acc[0][i] = swiglu(acc[0][i], acc[1][i]);
        m[(i / 2) % 2] = fmaxf(m[(i / 2) % 2], fabsf(acc[0][i]));
      }
      if (thread == 0) {
        bulk_wait_read();
      }
      named_barrier(1 + group, 128);
      int row = group * 64 + warp * 16 + lane / 4;
#pragma unroll
      for (int half = 0; half < 2; half++) {
        m[half] = fmaxf(m[half], __shfl_xor_sync(0xffffffffu, m[half], 1));
        m[half] = fmaxf(m[half], __shfl_xor_sync(0xffffffffu, m[half], 2));
        float inverse = __fdiv_rn(kFp8Max, m[half]);
#pragma unroll
        for (int j = 0; j < 16; j++) {
          uint32_t low = to_fp8(__fmul_rn(acc[0][4 * j + 2 * half], inverse));
          uint32_t high = to_fp8(__fmul_rn(acc[0][4 * j + 2 * half + 1], inverse));
          *reinterpret_cast<uint16_t*>(image + image_offset(row + 8 * half, 8 * j + 2 * (lane & 3))) =
              low | (high << 8);
        }
        if ((lane & 3) == 0 && row + 8 * half < work.rows) {
          outScale[at + row + 8 * half] = __fdiv_rn(m[half], kFp8Max);
        }
      }
      shared_proxy_fence();
      named_barrier(1 + group, 128);
      int rows = min(64, work.rows - group * 64);
      if (thread == 0 && rows > 0) {
        bulk_store(out + (at + group * 64) * kRowBytes, shared_address(image) + group * kTileBytes / 2,
                   rows * kRowBytes);
        bulk_commit();
      }
    }
  }
};

/** Plain product, stored as RowStore says. */
template <int Rows>
struct Linear {
  // With weights as M a block takes one tile, so that few rows still make many blocks.
  static constexpr int kPair = Rows < 128 ? 1 : 2;
  using S = Shape<Rows, kPair, 0>;

  RowStore to;

  __device__ __forceinline__ void operator()(
      float (&acc)[kPair][Rows / 2], const Work& work, int group, int warp, int lane) const {
    int64_t first = to.first(work.split, work.row);
    if constexpr (S::kSwapped) {
      int feature = work.feature * 128 + group * 64 + warp * 16 + lane / 4;
#pragma unroll
      for (int j = 0; j < Rows / 8; j++) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
          int row = 8 * j + 2 * (lane & 3) + (i & 1);
          int f = feature + 8 * (i / 2);
          if (row < work.rows && f < to.columns) {
            to.one((first + row) * to.stride + f, acc[0][4 * j + i]);
          }
        }
      }
    } else if (work.rows <= 64) {
      int row = warp * 16 + lane / 4;
      to.warp_tile(acc[0], first + row, (work.feature * kPair + group) * 128, row < work.rows,
                   row + 8 < work.rows, lane);
    } else {
      int row = group * 64 + warp * 16 + lane / 4;
#pragma unroll
      for (int p = 0; p < kPair; p++) {
        to.warp_tile(acc[p], first + row, (work.feature * kPair + p) * 128, row < work.rows,
                     row + 8 < work.rows, lane);
      }
    }
  }
};

}  // namespace fp8
}  // namespace moontide

// gate_up_R(a, aScale, aRows, w, wScale, tiles, tileCount, rows, kBlocks, featureTiles, out, outScale, outRows)
//   w: gate tile f at row tile 2f, up tile f at 2f + 1. out: panel of capacity outRows, at the same rows.
#define MOONTIDE_GATE_UP(R)                                                                            \
  extern "C" __global__ void __launch_bounds__(384, 1) gate_up_##R(                                    \
      const uint8_t* a, const float* aScale, int aRows, const uint8_t* w, const float* wScale,         \
      const moontide::RowGroup* tiles, const int* tileCount, int rows, int kBlocks, int featureTiles,   \
      uint8_t* out, float* outScale, int outRows) {                                                    \
    extern __shared__ __align__(16) char raw[];                                                        \
    using namespace moontide::fp8;                                                                     \
    char* base = moontide::aligned_shared(raw);                                                                  \
    Operands operands = {a, aScale, aRows, w, wScale, kBlocks, featureTiles};                          \
    Schedule schedule = schedule_of(tiles, tileCount, rows, R, featureTiles / 2, 1, kBlocks);          \
    run<GateUp<R>::S, R, 2>(operands, schedule, base, GateUp<R>{base, out, outScale, outRows});        \
  }

// linear_R(a, aScale, aRows, w, wScale, tiles, tileCount, rows, kBlocks, featureTiles, splits, out, store,
//          columns, stride, outRows)
//   splits: pieces of K, each its own sum (store 1 only, else 1); a property of the weight, never of the rows.
//   store 0: bf16 out[row · stride + feature]; 1: float32 out[(split · outRows + row) · stride + feature];
//   2: float32 out[row · stride + feature] += sum. Features from `columns` on are not stored.
#define MOONTIDE_LINEAR(R)                                                                             \
  extern "C" __global__ void __launch_bounds__(384, 1) linear_##R(                                     \
      const uint8_t* a, const float* aScale, int aRows, const uint8_t* w, const float* wScale,         \
      const moontide::RowGroup* tiles, const int* tileCount, int rows, int kBlocks, int featureTiles,   \
      int splits, void* out, int store, int columns, int stride, int outRows) {                        \
    extern __shared__ __align__(16) char raw[];                                                        \
    using namespace moontide::fp8;                                                                     \
    char* base = moontide::aligned_shared(raw);                                                                  \
    Operands operands = {a, aScale, aRows, w, wScale, kBlocks, featureTiles};                          \
    Schedule schedule =                                                                                \
        schedule_of(tiles, tileCount, rows, R, featureTiles / Linear<R>::kPair, splits, kBlocks);      \
    run<Linear<R>::S, R, Linear<R>::kPair>(operands, schedule, base,                                   \
                                           Linear<R>{{out, store, columns, stride, outRows}});           \
  }

MOONTIDE_GATE_UP(16)
MOONTIDE_GATE_UP(32)
MOONTIDE_GATE_UP(64)
MOONTIDE_GATE_UP(128)
MOONTIDE_LINEAR(16)
MOONTIDE_LINEAR(32)
MOONTIDE_LINEAR(64)
MOONTIDE_LINEAR(128)
