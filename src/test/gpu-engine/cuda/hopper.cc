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
// The launch contracts of the Hopper kernels (gpu-engine/src/main/cuda/hopper), kept by plain loops: a grid at a
// time, arguments in slots of eight bytes. wgmma and bulk copies do not run on a host, so this shows what is around
// the kernels (layouts, sizes, the order of launches), never the kernels: those are checked by
// benchmarks/h200/kernels.cu on a device.
#include <stdio.h>
#include <stdlib.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#define MOONTIDE_EMULATION
#include "device.cuh"

#define __host__
#define __device__
#define __forceinline__ inline
#include "hopper/layout.cuh"

using namespace moontide;

namespace {
const char* name_;
int grid_[3];
size_t shared_;

void fail(const char* what) {
  fprintf(stderr, "launch of %s: %s\n", name_, what);
  abort();
}
void expect(bool holds, const char* what) {
  if (!holds) {
    fail(what);
  }
}

/** The arguments, one after the other. */
struct Arguments {
  const uint64_t* next;
  explicit Arguments(const void* from) : next(static_cast<const uint64_t*>(from)) {}
  template <class T>
  T* pointer(int alignment = 4) {
    uint64_t value = *next++;
    expect(value % alignment == 0, "a pointer is not aligned");
    return reinterpret_cast<T*>(value);
  }
  int64_t wide() { return static_cast<int64_t>(*next++); }
  int integer() { return static_cast<int>(*next++); }
  float real() { return bits_float(static_cast<uint32_t>(*next++)); }
};

/** Every FP8 number, for speed. */
struct Fp8Values {
  float value[256];
  Fp8Values() {
    for (int i = 0; i < 256; i++) {
      value[i] = from_e4m3(static_cast<uint8_t>(i));
    }
  }
} fp8_values;

float fp8(uint8_t x) { return fp8_values.value[x]; }
float bf16(const uint8_t* at) { return from_bf16(*reinterpret_cast<const uint16_t*>(at)); }
void put_bf16(uint8_t* at, float x) { *reinterpret_cast<uint16_t*>(at) = to_bf16(x); }

/** Σ a · b, in an order that vectorises; `n` is a multiple of 8. */
float dot(const float* a, const float* b, int n) {
  float lanes[8] = {};
  for (int i = 0; i < n; i += 8) {
    for (int lane = 0; lane < 8; lane++) {
      lanes[lane] += a[i + lane] * b[i + lane];
    }
  }
  return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
}

/** Entries of a cache's pages as numbers, each page decoded once in a launch. */
class Pages {
 public:
  explicit Pages(const uint8_t* cache) : cache_(cache) {}

  const float* entry(const int* pages, int j) {
    std::vector<float>& page = decoded_[pages[j / kPageTokens]];
    if (page.empty()) {
      page.resize(kPageTokens * 576);
      const uint8_t* from = cache_ + static_cast<int64_t>(pages[j / kPageTokens]) * kPageBytes;
      for (int t = 0; t < kPageTokens; t++) {
        for (int c = 0; c < 576; c++) {
          page[t * 576 + c] = bf16(from + page_offset(t, c));
        }
      }
    }
    return page.data() + j % kPageTokens * 576;
  }

 private:
  const uint8_t* cache_;
  std::map<int, std::vector<float>> decoded_;
};

/** `columns` bf16 columns of a panel's row from `first`. */
std::vector<float> panel_row(const uint8_t* panel, int64_t rows, int64_t row, int64_t first, int columns) {
  std::vector<float> out(columns);
  for (int c = 0; c < columns; c++) {
    out[c] = bf16(panel + panel_offset(row, static_cast<int>(2 * (first + c)), rows));
  }
  return out;
}

/** Rounds 128 columns of a row to FP8 (hopper/quantise.cuh). */
void quantise(const float* x, int64_t row, int kBlock, uint8_t* out, float* scale, int64_t rows) {
  float m = 1e-4f;
  for (int i = 0; i < 128; i++) {
    m = std::isnan(x[i]) ? m : std::max(m, fabsf(x[i]));
  }
  for (int i = 0; i < 128; i++) {
    out[kBlock * rows * kRowBytes + image_offset(row, i)] = to_e4m3(x[i] * (448.f / m));
  }
  scale[kBlock * rows + row] = m / 448.f;
}

struct Fp8Operands {
  const uint8_t* a;
  const float* aScale;
  int64_t aRows;
  const uint8_t* w;
  const float* wScale;
  const RowGroup* tiles;
  const int* tileCount;
  int rows;
  int kBlocks;
  int featureTiles;

  explicit Fp8Operands(Arguments& in) {
    a = in.pointer<const uint8_t>(128);
    aScale = in.pointer<const float>(128);
    aRows = in.integer();
    expect(aRows % 8 == 0, "the panel's capacity is no multiple of 8");
    w = in.pointer<const uint8_t>(128);
    wScale = in.pointer<const float>();
    tiles = in.pointer<const RowGroup>();
    tileCount = in.pointer<const int>();
    rows = in.integer();
    kBlocks = in.integer();
    featureTiles = in.integer();
    expect(featureTiles % 2 == 0, "the number of feature tiles is odd");
  }

  /** A row's numbers, not scaled. */
  std::vector<float> row(int64_t r) const {
    std::vector<float> out(kBlocks * 128);
    for (int k = 0; k < kBlocks; k++) {
      for (int i = 0; i < 128; i++) {
        out[k * 128 + i] = fp8(a[k * aRows * kRowBytes + image_offset(r, i)]);
      }
    }
    return out;
  }

  /** Sum over K blocks of row `r`, whose numbers are `numbers`, and a row of the weight. */
  float sum(const std::vector<float>& numbers, int64_t r, int expert, int feature, int kBegin, int kEnd) {
    const std::vector<float>& weight = decoded(expert);
    float acc = 0;
    for (int k = kBegin; k < kEnd; k++) {
      int64_t tile = (static_cast<int64_t>(expert) * featureTiles + feature / 128) * kBlocks + k;
      float c = dot(numbers.data() + k * 128, weight.data() + (static_cast<int64_t>(feature) * kBlocks + k) * 128, 128);
      acc = fmaf(c, aScale[k * aRows + r] * wScale[tile], acc);
    }
    return acc;
  }

 private:
  /** An expert's weight by row, decoded once in a launch. */
  const std::vector<float>& decoded(int expert) {
    std::vector<float>& out = weights_[expert];
    if (out.empty()) {
      out.resize(static_cast<size_t>(featureTiles) * kBlocks * kTileBytes);
      const uint8_t* from = w + static_cast<int64_t>(expert) * featureTiles * kBlocks * kTileBytes;
      for (int f = 0; f < featureTiles * 128; f++) {
        for (int i = 0; i < kBlocks * 128; i++) {
          out[static_cast<size_t>(f) * kBlocks * 128 + i] = fp8(from[weight_offset(f, i, kBlocks)]);
        }
      }
    }
    return out;
  }

  std::map<int, std::vector<float>> weights_;

 public:
  /** Visits (expert, row) of every row there is. */
  template <class Visit>
  void each_row(int tileRows, Visit visit) const {
    if (tiles == nullptr) {
      expect(rows <= aRows, "more rows than the panel has");
      for (int r = 0; r < rows; r++) {
        visit(0, r);
      }
      return;
    }
    for (int t = 0; t < *tileCount; t++) {
      RowGroup group = tiles[t];
      expect(group.firstTile <= t && group.row % 8 == 0, "a group of rows is not as it should be");
      int first = (t - group.firstTile) * tileRows;
      expect(first < group.rows && group.row + group.rows <= aRows, "a tile beyond its group");
      for (int r = first; r < std::min(group.rows, first + tileRows); r++) {
        visit(group.expert, group.row + r);
      }
    }
  }
};

/** RowStore of hopper/store.cuh. */
struct Store {
  void* out;
  int store;
  int columns;
  int64_t stride;
  int64_t outRows;

  explicit Store(Arguments& in) {
    out = in.pointer<void>();
    store = in.integer();
    columns = in.integer();
    stride = in.integer();
    outRows = in.integer();
    expect(columns <= stride, "more columns than the stride");
  }

  void put(int split, int64_t row, int64_t feature, float x) const {
    expect(row < outRows, "a row beyond the result's");
    if (store == 0) {
      static_cast<uint16_t*>(out)[row * stride + feature] = to_bf16(x);
    } else {
      float* at = static_cast<float*>(out) + (store == 1 ? split * outRows + row : row) * stride + feature;
      *at = store == 2 ? *at + x : x;
    }
  }
};

void gate_up(const void* args, int tileRows, size_t shared) {
  expect(shared_ == shared, "dynamic shared memory");
  Arguments in(args);
  Fp8Operands o(in);
  uint8_t* out = in.pointer<uint8_t>(128);
  float* outScale = in.pointer<float>();
  int64_t outRows = in.integer();
  o.each_row(tileRows, [&](int expert, int row) {
    std::vector<float> numbers = o.row(row);
    for (int f = 0; f < o.featureTiles / 2; f++) {
      float product[128];
      for (int i = 0; i < 128; i++) {
        float gate = o.sum(numbers, row, expert, 256 * f + i, 0, o.kBlocks);
        float up = o.sum(numbers, row, expert, 256 * f + 128 + i, 0, o.kBlocks);
        product[i] = gate * up / (1.f + expf(-gate));
      }
      quantise(product, row, f, out, outScale, outRows);
    }
  });
}

void linear(const void* args, int tileRows, size_t shared) {
  expect(shared_ == shared, "dynamic shared memory");
  Arguments in(args);
  Fp8Operands o(in);
  int splits = in.integer();
  Store to(in);
  expect(splits == 1 || to.store == 1, "pieces of K are stored each");
  expect(splits <= o.kBlocks, "a piece of K is empty");
  expect(to.columns <= o.featureTiles * 128, "more columns than features");
  o.each_row(tileRows, [&](int expert, int row) {
    std::vector<float> numbers = o.row(row);
    for (int s = 0; s < splits; s++) {
      for (int f = 0; f < to.columns; f++) {
        to.put(s, row, f,
               o.sum(numbers, row, expert, f, o.kBlocks * s / splits, o.kBlocks * (s + 1) / splits));
      }
    }
  });
}

/** bf16 tiles by row. */
std::vector<float> bf16_weight(const uint8_t* w, int features, int kBlocks) {
  std::vector<float> out(static_cast<size_t>(features) * kBlocks * 64);
  for (int f = 0; f < features; f++) {
    for (int i = 0; i < kBlocks * 64; i++) {
      out[static_cast<size_t>(f) * kBlocks * 64 + i] = bf16(w + weight_offset(f, 2 * i, kBlocks));
    }
  }
  return out;
}

/** What a piece of attention gives for one head. */
struct Piece {
  float maximum;
  float sum;
  float o[512];

  void merge(const Piece& other) {
    float m = std::max(maximum, other.maximum);
    float first = exp2f(maximum - m);
    float second = exp2f(other.maximum - m);
    sum = fmaf(other.sum, second, sum * first);
    for (int i = 0; i < 512; i++) {
      o[i] = fmaf(other.o[i], second, o[i] * first);
    }
    maximum = m;
  }
};
const int kPieceFloats = 514;
const int kPartialFloats = 33792;

Piece attend_piece(const std::vector<float>& q, Pages& cache, const int* pages, int first, int end, float scale) {
  Piece piece{};
  std::vector<float> scores;
  piece.maximum = -INFINITY;
  for (int j = first; j < end; j++) {
    scores.push_back(dot(q.data(), cache.entry(pages, j), 576) * scale);
    piece.maximum = std::max(piece.maximum, scores.back());
  }
  for (int j = first; j < end; j++) {
    const float* entry = cache.entry(pages, j);
    float p = exp2f(scores[j - first] - piece.maximum);
    piece.sum += p;
    for (int c = 0; c < 512; c++) {
      piece.o[c] += p * entry[c];
    }
  }
  return piece;
}

void put_latents(const Piece& piece, int64_t row, int head, uint8_t* out, int64_t outRows) {
  for (int c = 0; c < 512; c++) {
    put_bf16(out + panel_offset(row, 2 * (head * 512 + c), outRows), piece.o[c] / piece.sum);
  }
}

/** A row's values of a head to o_proj's FP8 panel. */
void put_values(const float* values, int64_t row, int head, uint8_t* out, float* outScale, int64_t outRows) {
  expect(outScale != nullptr, "o_proj's operand is FP8");
  quantise(values, row, head, out, outScale, outRows);
}

struct Item {
  int row;
  int piece;
};
struct PromptTile {
  int row, firstRow, endRow, pageStart, keyRow, entries;
};

float norm_factor(const float* v, int columns, float epsilon) {
  float squares = 0;
  for (int i = 0; i < columns; i++) {
    squares = fmaf(v[i], v[i], squares);
  }
  return 1 / sqrtf(squares / columns + epsilon);
}

void rotate(float a, float b, const float* turn, uint8_t* to) {
  put_bf16(to, a * turn[0] - b * turn[1]);
  put_bf16(to + 2, a * turn[1] + b * turn[0]);
}
}  // namespace

extern "C" void moontide_emulate(const char* name, void (*kernel)(const void*), const int* grid, int threads,
                                 size_t dynamic_bytes, const void* args) {
  (void)threads;
  name_ = name;
  std::copy(grid, grid + 3, grid_);
  shared_ = dynamic_bytes;
  kernel(args);
}

#define HOST_KERNEL(name, threads)                         \
  extern "C" const int name##_threads = threads;           \
  extern "C" void name##_kernel(const void* args)

HOST_KERNEL(gate_up_16, 384) { gate_up(args, 16, 213456); }
HOST_KERNEL(gate_up_32, 384) { gate_up(args, 32, 228176); }
HOST_KERNEL(gate_up_64, 384) { gate_up(args, 64, 217408); }
HOST_KERNEL(gate_up_128, 384) { gate_up(args, 128, 216112); }
HOST_KERNEL(linear_16, 384) { linear(args, 16, 223152); }
HOST_KERNEL(linear_32, 384) { linear(args, 32, 227872); }
HOST_KERNEL(linear_64, 384) { linear(args, 64, 224640); }
HOST_KERNEL(linear_128, 384) { linear(args, 128, 199728); }

HOST_KERNEL(linear_bf16, 384) {
  expect(shared_ == 197696, "dynamic shared memory");
  Arguments in(args);
  auto* a = in.pointer<const uint8_t>(128);
  int64_t aRows = in.integer();
  int rows = in.integer();
  auto* w = in.pointer<const uint8_t>(128);
  int aBlocks = in.integer();
  int kBlocks = in.integer();
  int featureTiles = in.integer();
  int splits = in.integer();
  Store to(in);
  expect(aBlocks == kBlocks || aBlocks == 2 * kBlocks, "K blocks of the panel");
  expect(featureTiles % 2 == 0 && splits <= aBlocks && rows <= aRows, "sizes");
  std::vector<float> weight = bf16_weight(w, to.columns, kBlocks);
  for (int r = 0; r < rows; r++) {
    std::vector<float> numbers = panel_row(a, aRows, r, 0, aBlocks * 64);
    for (int s = 0; s < splits; s++) {
      for (int f = 0; f < to.columns; f++) {
        float acc = 0;
        for (int k = aBlocks * s / splits; k < aBlocks * (s + 1) / splits; k++) {
          acc += dot(numbers.data() + k * 64,
                     weight.data() + (static_cast<size_t>(f) * kBlocks + k % kBlocks) * 64, 64);
        }
        to.put(s, r, f, acc);
      }
    }
  }
}

HOST_KERNEL(query_absorb, 384) {
  expect(shared_ == 197696, "dynamic shared memory");
  Arguments in(args);
  auto* a = in.pointer<const uint8_t>(128);
  int64_t aRows = in.integer();
  int rows = in.integer();
  auto* w = in.pointer<const uint8_t>(128);
  int heads = in.integer();
  auto* out = in.pointer<uint8_t>(128);
  int images = (heads + 63) / 64;
  for (int h = 0; h < heads; h++) {
    std::vector<float> weight = bf16_weight(w + static_cast<int64_t>(h) * 8 * kTileBytes, 512, 2);
    for (int r = 0; r < rows; r++) {
      uint8_t* image = out + (static_cast<int64_t>(r) * images + h / 64) * kPageBytes;
      std::vector<float> nope = panel_row(a, aRows, r, 128 * h, 128);
      for (int f = 0; f < 512; f++) {
        put_bf16(image + page_offset(h % 64, f), dot(nope.data(), weight.data() + f * 128, 128));
      }
    }
  }
}

HOST_KERNEL(value_up, 384) {
  expect(shared_ == 197728, "dynamic shared memory");
  Arguments in(args);
  auto* a = in.pointer<const uint8_t>(128);
  int64_t aRows = in.integer();
  int rows = in.integer();
  auto* w = in.pointer<const uint8_t>(128);
  int heads = in.integer();
  auto* out = in.pointer<uint8_t>(128);
  auto* outScale = in.pointer<float>();
  int64_t outRows = in.integer();
  auto* numbers = in.pointer<const int>();
  for (int h = 0; h < heads; h++) {
    std::vector<float> weight = bf16_weight(w + (static_cast<int64_t>(h) * 16 + 8) * kTileBytes, 128, 8);
    for (int r = 0; r < rows; r++) {
      std::vector<float> latent = panel_row(a, aRows, r, 512 * h, 512);
      float values[128];
      for (int f = 0; f < 128; f++) {
        values[f] = dot(latent.data(), weight.data() + f * 512, 512);
      }
      put_values(values, numbers != nullptr ? numbers[r] : r, h, out, outScale, outRows);
    }
  }
}

HOST_KERNEL(expand_latent, 384) {
  expect(shared_ == 197696, "dynamic shared memory");
  Arguments in(args);
  auto* cache = in.pointer<const uint8_t>(128);
  auto* pages = in.pointer<const int>();
  int pageCount = in.integer();
  auto* w = in.pointer<const uint8_t>(128);
  int heads = in.integer();
  auto* out = in.pointer<uint8_t>(128);
  int64_t outRows = in.integer();
  expect(pageCount * kPageTokens <= outRows, "more entries than the panel has rows");
  Pages entries(cache);
  std::vector<float> weight = bf16_weight(w, 256 * heads, 8);
  for (int r = 0; r < pageCount * kPageTokens; r++) {
    for (int f = 0; f < 256 * heads; f++) {
      put_bf16(out + panel_offset(r, 2 * f, outRows),
               dot(entries.entry(pages, r), weight.data() + static_cast<size_t>(f) * 512, 512));
    }
  }
}

HOST_KERNEL(attend_plan, 1024) {
  Arguments in(args);
  auto* length = in.pointer<const int>();
  int rows = in.integer();
  auto* items = in.pointer<Item>();
  auto* itemCount = in.pointer<int>();
  auto* firstItem = in.pointer<int>();
  int count = 0;
  for (int r = 0; r < rows; r++) {
    firstItem[r] = count;
    for (int p = 0; p * 1024 < length[r]; p++) {
      items[count++] = {r, p};
    }
  }
  *itemCount = count;
}

HOST_KERNEL(attend, 384) {
  expect(shared_ == 223440, "dynamic shared memory");
  Arguments in(args);
  auto* q = in.pointer<const uint8_t>(128);
  auto* cache = in.pointer<const uint8_t>(128);
  auto* pages = in.pointer<const int>();
  auto* pageStart = in.pointer<const int>();
  auto* length = in.pointer<const int>();
  int rows = in.integer();
  int heads = in.integer();
  float scale = in.real();
  auto* items = in.pointer<const Item>();
  auto* itemCount = in.pointer<const int>();
  auto* partial = in.pointer<float>(128);
  auto* scratch = in.pointer<float>(128);
  auto* out = in.pointer<uint8_t>(128);
  int64_t outRows = in.integer();
  expect(items != nullptr || scratch != nullptr, "no scratch");
  int images = (heads + 63) / 64;
  int count = items != nullptr ? *itemCount : rows;
  Pages entries(cache);
  for (int i = 0; i < count; i++) {
    int row = items != nullptr ? items[i].row : i;
    expect(length[row] >= 1 && row < rows, "a row sees nothing");
    int pieces = (length[row] + 1023) / 1024;
    int begin = items != nullptr ? items[i].piece : 0;
    int end = items != nullptr ? begin + 1 : pieces;
    for (int head = 0; head < heads; head++) {
      const uint8_t* image = q + (static_cast<int64_t>(row) * images + head / 64) * kPageBytes;
      std::vector<float> query(576);
      for (int c = 0; c < 576; c++) {
        query[c] = bf16(image + page_offset(head % 64, c));
      }
      Piece all;
      for (int p = begin; p < end; p++) {
        Piece piece = attend_piece(query, entries, pages + pageStart[row], p * 1024,
                                   std::min(length[row], (p + 1) * 1024), scale);
        if (p == begin) {
          all = piece;
        } else {
          all.merge(piece);
        }
      }
      if (end - begin < pieces) {
        memcpy(partial + (static_cast<int64_t>(i) * images + head / 64) * kPartialFloats +
                   head % 64 * kPieceFloats,
               &all, sizeof all);
      } else {
        put_latents(all, row, head, out, outRows);
      }
    }
  }
}

HOST_KERNEL(attend_merge, 256) {
  Arguments in(args);
  auto* length = in.pointer<const int>();
  auto* firstItem = in.pointer<const int>();
  int rows = in.integer();
  int heads = in.integer();
  auto* partial = in.pointer<const float>(128);
  auto* out = in.pointer<uint8_t>(128);
  int64_t outRows = in.integer();
  int images = (heads + 63) / 64;
  expect(grid_[0] == rows && grid_[1] == images, "the grid");
  for (int row = 0; row < rows; row++) {
    int pieces = (length[row] + 1023) / 1024;
    for (int head = 0; head < heads && pieces > 1; head++) {
      Piece all;
      for (int p = 0; p < pieces; p++) {
        Piece piece;
        memcpy(&piece,
               partial + (static_cast<int64_t>(firstItem[row] + p) * images + head / 64) * kPartialFloats +
                   head % 64 * kPieceFloats,
               sizeof piece);
        if (p == 0) {
          all = piece;
        } else {
          all.merge(piece);
        }
      }
      put_latents(all, row, head, out, outRows);
    }
  }
}

HOST_KERNEL(attend_prompt, 384) {
  expect(shared_ == 214112, "dynamic shared memory");
  Arguments in(args);
  auto* q = in.pointer<const uint8_t>(128);
  int64_t qRows = in.integer();
  auto* cache = in.pointer<const uint8_t>(128);
  auto* pages = in.pointer<const int>();
  auto* kv = in.pointer<const uint8_t>(128);
  int64_t kvRows = in.integer();
  auto* tiles = in.pointer<const PromptTile>();
  int tileCount = in.integer();
  auto* length = in.pointer<const int>();
  int heads = in.integer();
  float scale = in.real();
  auto* out = in.pointer<uint8_t>(128);
  auto* outScale = in.pointer<float>();
  int64_t outRows = in.integer();
  Pages entries(cache);
  std::map<int, std::vector<float>> expanded;
  for (int t = 0; t < tileCount; t++) {
    PromptTile tile = tiles[t];
    expect(tile.row % 8 == 0 && tile.keyRow % 8 == 0, "a tile is not aligned");
    expect(tile.firstRow >= tile.row && tile.endRow <= tile.row + 128 && tile.endRow <= qRows, "a tile's rows");
    expect(tile.keyRow + tile.entries <= kvRows, "a tile's entries");
    for (int row = tile.firstRow; row < tile.endRow; row++) {
      expect(length[row] >= 1 && length[row] <= tile.entries, "a row's entries");
      for (int head = 0; head < heads; head++) {
        std::vector<float> query = panel_row(q, qRows, row, head * 192, 192);
        std::vector<float> s(length[row]);
        float maximum = -INFINITY;
        for (int j = 0; j < length[row]; j++) {
          std::vector<float>& kept = expanded[tile.keyRow + j];
          if (kept.empty()) {
            kept = panel_row(kv, kvRows, tile.keyRow + j, 0, 256 * heads);
          }
          float score = dot(query.data(), kept.data() + head * 256, 128) +
                        dot(query.data() + 128, entries.entry(pages + tile.pageStart, j) + 512, 64);
          s[j] = score * scale;
          maximum = std::max(maximum, s[j]);
        }
        float sum = 0;
        float values[128] = {};
        for (int j = 0; j < length[row]; j++) {
          const float* value = expanded[tile.keyRow + j].data() + head * 256 + 128;
          float p = exp2f(s[j] - maximum);
          sum += p;
          for (int c = 0; c < 128; c++) {
            values[c] += p * value[c];
          }
        }
        for (float& value : values) {
          value /= sum;
        }
        put_values(values, row, head, out, outScale, outRows);
      }
    }
  }
}

HOST_KERNEL(rms_norm, 256) {
  Arguments in(args);
  auto* x = in.pointer<const float>();
  int64_t xStride = in.wide();
  auto* parts = in.pointer<const float>();
  int splits = in.integer();
  int64_t splitStride = in.wide();
  int64_t partStride = in.wide();
  int columns = in.integer();
  auto* gain = in.pointer<const float>();
  float epsilon = in.real();
  expect(in.pointer<float>() == nullptr, "nobody keeps the sum");
  auto* out = in.pointer<uint8_t>(128);
  auto* scale = in.pointer<float>();
  auto* high = in.pointer<uint8_t>(128);
  auto* low = in.pointer<uint8_t>(128);
  int64_t outRows = in.integer();
  expect(shared_ == 4u * columns && outRows % 8 == 0, "sizes");
  int padded = (columns + 127) / 128 * 128;
  std::vector<float> v(padded);
  for (int r = 0; r < grid_[0]; r++) {
    std::fill(v.begin(), v.end(), 0.f);
    for (int i = 0; i < columns; i++) {
      v[i] = x != nullptr ? x[r * xStride + i] : 0.f;
      for (int s = 0; s < splits; s++) {
        v[i] += parts[s * splitStride + r * partStride + i];
      }
    }
    float factor = norm_factor(v.data(), columns, epsilon);
    for (int i = 0; i < columns; i++) {
      v[i] = v[i] * factor * gain[i];
    }
    for (int k = 0; out != nullptr && k < padded / 128; k++) {
      quantise(v.data() + 128 * k, r, k, out, scale, outRows);
    }
    for (int i = 0; high != nullptr && i < (columns + 63) / 64 * 64; i++) {
      int64_t at = panel_offset(r, 2 * i, outRows);
      put_bf16(high + at, v[i]);
      if (low != nullptr) {
        put_bf16(low + at, v[i] - bf16(high + at));
      }
    }
  }
}

HOST_KERNEL(append_latent, 128) {
  Arguments in(args);
  auto* parts = in.pointer<const float>();
  int splits = in.integer();
  int64_t splitStride = in.wide();
  int64_t partStride = in.wide();
  int from = in.integer();
  auto* gain = in.pointer<const float>();
  float epsilon = in.real();
  auto* cosSin = in.pointer<const float>();
  auto* position = in.pointer<const int>();
  auto* slot = in.pointer<const int>();
  auto* cache = in.pointer<uint8_t>(128);
  for (int t = 0; t < grid_[0]; t++) {
    float v[576];
    for (int i = 0; i < 576; i++) {
      v[i] = 0;
      for (int s = 0; s < splits; s++) {
        v[i] += parts[s * splitStride + t * partStride + from + i];
      }
    }
    uint8_t* page = cache + static_cast<int64_t>(slot[t] / kPageTokens) * kPageBytes;
    float factor = norm_factor(v, 512, epsilon);
    for (int i = 0; i < 512; i++) {
      put_bf16(page + page_offset(slot[t] % kPageTokens, i), v[i] * factor * gain[i]);
    }
    for (int i = 0; i < 32; i++) {
      rotate(v[512 + 2 * i], v[513 + 2 * i], cosSin + (static_cast<int64_t>(position[t]) * 32 + i) * 2,
             page + page_offset(slot[t] % kPageTokens, 512 + 2 * i));
    }
  }
}

HOST_KERNEL(prepare_queries, 256) {
  Arguments in(args);
  auto* q = in.pointer<const uint8_t>(8);
  int64_t stride = in.integer();
  auto* cosSin = in.pointer<const float>();
  auto* position = in.pointer<const int>();
  auto* numbers = in.pointer<const int>();
  int heads = in.integer();
  auto* panel = in.pointer<uint8_t>(128);
  int64_t panelRows = in.integer();
  auto* images = in.pointer<uint8_t>(128);
  expect(grid_[0] <= panelRows, "more rows than the panel has");
  int perToken = (heads + 63) / 64;
  for (int t = 0; t < grid_[0]; t++) {
    for (int h = 0; h < heads; h++) {
      const uint8_t* from = q + 2 * ((numbers != nullptr ? numbers[t] : t) * stride + h * 192);
      int base = h * (images != nullptr ? 128 : 192);
      for (int i = 0; i < 128; i++) {
        put_bf16(panel + panel_offset(t, 2 * (base + i), panelRows), bf16(from + 2 * i));
      }
      for (int i = 0; i < 32; i++) {
        uint8_t* to = images != nullptr ? images + (static_cast<int64_t>(t) * perToken + h / 64) * kPageBytes +
                                              page_offset(h % 64, 512 + 2 * i)
                                        : panel + panel_offset(t, 2 * (base + 128 + 2 * i), panelRows);
        rotate(bf16(from + 2 * (128 + 2 * i)), bf16(from + 2 * (129 + 2 * i)),
               cosSin + (static_cast<int64_t>(position[t]) * 32 + i) * 2, to);
      }
    }
  }
}

HOST_KERNEL(copy_entries, 256) {
  Arguments in(args);
  auto* cache = in.pointer<uint8_t>(128);
  auto* from = in.pointer<const int>();
  auto* to = in.pointer<const int>();
  int count = in.integer();
  expect(grid_[0] == (count + 7) / 8, "the grid");
  for (int i = 0; i < count; i++) {
    for (int c = 0; c < 576; c++) {
      put_bf16(cache + static_cast<int64_t>(to[i] / 64) * kPageBytes + page_offset(to[i] % 64, c),
               bf16(cache + static_cast<int64_t>(from[i] / 64) * kPageBytes + page_offset(from[i] % 64, c)));
    }
  }
}

HOST_KERNEL(moe_count, 256) {
  Arguments in(args);
  auto* choice = in.pointer<const int>();
  int tokens = in.integer();
  int topK = in.integer();
  int experts = in.integer();
  auto* counts = in.pointer<int>();
  expect(shared_ == 16u * experts && grid_[0] == (tokens + 127) / 128, "sizes");
  std::fill(counts, counts + grid_[0] * experts, 0);
  for (int i = 0; i < tokens * topK; i++) {
    counts[i / topK / 128 * experts + choice[i]]++;
  }
}

HOST_KERNEL(moe_scan, 1024) {
  Arguments in(args);
  auto* counts = in.pointer<int>();
  int blocks = in.integer();
  int experts = in.integer();
  int tileRows = in.integer();
  auto* tiles = in.pointer<RowGroup>();
  auto* tileCount = in.pointer<int>();
  int first = 0;
  int tile = 0;
  for (int e = 0; e < experts; e++) {
    int rows = 0;
    for (int b = 0; b < blocks; b++) {
      int count = counts[b * experts + e];
      counts[b * experts + e] = first + rows;
      rows += count;
    }
    int firstTile = tile;
    for (int i = 0; i * tileRows < rows; i++) {
      tiles[tile++] = {e, first, rows, firstTile};
    }
    first += (rows + 7) / 8 * 8;
  }
  *tileCount = tile;
}

HOST_KERNEL(moe_scatter, 256) {
  Arguments in(args);
  auto* choice = in.pointer<const int>();
  auto* weight = in.pointer<const float>();
  int tokens = in.integer();
  int topK = in.integer();
  int experts = in.integer();
  auto* counts = in.pointer<const int>();
  auto* slot = in.pointer<int>();
  auto* slotWeight = in.pointer<float>();
  std::vector<int> next(counts, counts + grid_[0] * experts);
  for (int t = 0; t < tokens; t++) {
    for (int k = 0; k < topK; k++) {
      int expert = choice[t * topK + k];
      int rank = 0;
      for (int other = 0; other < topK; other++) {
        rank += choice[t * topK + other] < expert;
      }
      slot[t * topK + rank] = next[t / 128 * experts + expert]++;
      slotWeight[t * topK + rank] = weight[t * topK + k];
    }
  }
}

HOST_KERNEL(moe_gather, 256) {
  Arguments in(args);
  auto* a = in.pointer<const uint8_t>(128);
  auto* aScale = in.pointer<const float>();
  int64_t aRows = in.integer();
  auto* slot = in.pointer<const int>();
  int topK = in.integer();
  int kBlocks = in.integer();
  auto* out = in.pointer<uint8_t>(128);
  auto* outScale = in.pointer<float>();
  int64_t outRows = in.integer();
  expect(grid_[1] == (kBlocks + 7) / 8, "the grid");
  for (int t = 0; t < grid_[0]; t++) {
    for (int i = 0; i < topK; i++) {
      int to = slot[t * topK + i];
      expect(to < outRows, "a slot beyond the panel");
      for (int k = 0; k < kBlocks; k++) {
        for (int byte = 0; byte < 128; byte++) {
          out[k * outRows * kRowBytes + image_offset(to, byte)] = a[k * aRows * kRowBytes + image_offset(t, byte)];
        }
        outScale[k * outRows + to] = aScale[k * aRows + t];
      }
    }
  }
}

HOST_KERNEL(moe_combine, 256) {
  Arguments in(args);
  auto* x = in.pointer<float>(16);
  auto* y = in.pointer<const uint16_t>(8);
  auto* slot = in.pointer<const int>();
  auto* slotWeight = in.pointer<const float>();
  int topK = in.integer();
  int columns = in.integer();
  expect(columns % 4 == 0 && grid_[1] == (columns + 1023) / 1024, "sizes");
  for (int t = 0; t < grid_[0]; t++) {
    for (int c = 0; c < columns; c++) {
      float sum = 0;
      for (int k = 0; k < topK; k++) {
        sum = fmaf(slotWeight[t * topK + k],
                   from_bf16(y[static_cast<int64_t>(slot[t * topK + k]) * columns + c]), sum);
      }
      x[static_cast<int64_t>(t) * columns + c] += sum;
    }
  }
}

HOST_KERNEL(retile_fp8, 256) {
  Arguments in(args);
  auto* from = in.pointer<const uint8_t>(16);
  auto* scales = in.pointer<const float>();
  int rows = in.integer();
  int columns = in.integer();
  auto* out = in.pointer<uint8_t>(128);
  auto* outScales = in.pointer<float>();
  int kBlocks = in.integer();
  int tileFirst = in.integer();
  int tileStep = in.integer();
  expect(kBlocks == (columns + 127) / 128 && grid_[0] == kBlocks, "K blocks");
  for (int t = 0; t < grid_[1]; t++) {
    for (int k = 0; k < kBlocks; k++) {
      int64_t tile = (tileFirst + static_cast<int64_t>(t) * tileStep) * kBlocks + k;
      for (int r = 0; r < 128; r++) {
        for (int c = 0; c < 128; c++) {
          int row = t * 128 + r;
          int column = k * 128 + c;
          bool inside = row < rows && column < columns;
          out[tile * kTileBytes + image_offset(r, c)] =
              inside ? from[static_cast<int64_t>(row) * columns + column] : 0;
        }
      }
      outScales[tile] = t * 128 < rows ? scales[t * kBlocks + k] : 0;
    }
  }
}

HOST_KERNEL(dequantise_fp8, 256) {
  Arguments in(args);
  auto* from = in.pointer<const uint8_t>();
  auto* scales = in.pointer<const float>();
  int columns = in.integer();
  auto* out = in.pointer<uint16_t>(2);
  expect(grid_[0] == (columns + 1023) / 1024, "columns");
  for (int row = 0; row < grid_[1]; row++) {
    for (int c = 0; c < columns; c++) {
      int64_t at = static_cast<int64_t>(row) * columns + c;
      out[at] = to_bf16(from_e4m3(from[at]) * scales[row / 128 * ((columns + 127) / 128) + c / 128]);
    }
  }
}

HOST_KERNEL(retile_bf16, 256) {
  Arguments in(args);
  auto* from = in.pointer<const uint16_t>(2);
  int64_t rowStride = in.wide();
  int64_t columnStride = in.wide();
  int rows = in.integer();
  int columns = in.integer();
  auto* out = in.pointer<uint8_t>(128);
  int kBlocks = in.integer();
  int tileFirst = in.integer();
  int tileStep = in.integer();
  expect(kBlocks == (columns + 63) / 64 && grid_[0] == kBlocks, "K blocks");
  for (int t = 0; t < grid_[1]; t++) {
    for (int k = 0; k < kBlocks; k++) {
      int64_t tile = (tileFirst + static_cast<int64_t>(t) * tileStep) * kBlocks + k;
      for (int r = 0; r < 128; r++) {
        for (int c = 0; c < 64; c++) {
          int row = t * 128 + r;
          int column = k * 64 + c;
          uint16_t value = row < rows && column < columns ? from[row * rowStride + column * columnStride] : 0;
          *reinterpret_cast<uint16_t*>(out + tile * kTileBytes + image_offset(r, 2 * c)) = value;
        }
      }
    }
  }
}
