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
// Attention, the bf16 products around it, and the kernels between products.
#pragma once

#include "../../gpu-engine/src/main/cuda/hopper/attention.cu"
#include "../../gpu-engine/src/main/cuda/hopper/attention_prompt.cu"
#include "../../gpu-engine/src/main/cuda/hopper/gemm_bf16.cu"
#include "../../gpu-engine/src/main/cuda/hopper/rows.cu"
#include "products.cuh"

constexpr int kAttendShared = 223440;
constexpr int kPromptShared = 214112;
constexpr int kBf16Shared = 197696;
constexpr int kValueUpShared = 197728;

inline void allow_attention() {
  allow_shared(attend, kAttendShared);
  allow_shared(attend_prompt, kPromptShared);
  allow_shared(linear_bf16, kBf16Shared);
  allow_shared(expand_latent, kBf16Shared);
  allow_shared(query_absorb, kBf16Shared);
  allow_shared(value_up, kValueUpShared);
}

inline uint16_t bits(float x) {
  __nv_bfloat16 b = __float2bfloat16_rn(x);
  uint16_t u;
  std::memcpy(&u, &b, 2);
  return u;
}

inline float from_bits(uint16_t u) {
  uint32_t w = static_cast<uint32_t>(u) << 16;
  float x;
  std::memcpy(&x, &w, 4);
  return x;
}

inline float rounded(float x) { return from_bits(bits(x)); }

/** Random bf16 numbers, as floats. */
inline std::vector<float> random_bf16(size_t n, uint64_t seed, float scale) {
  std::vector<float> x(n);
  for (size_t i = 0; i < n; i++) {
    x[i] = rounded(scale * normal(seed * 1000003 + i));
  }
  return x;
}

inline std::vector<uint16_t> to_bits(const std::vector<float>& x) {
  std::vector<uint16_t> b(x.size());
  std::transform(x.begin(), x.end(), b.begin(), bits);
  return b;
}

/** One (row, head) a block: softmax(scale · q·k) · latent in float64. */
__global__ void reference_attention(
    const float* q, const float* entries, const int* firstEntry, const int* length, int heads, double scale,
    double* out) {
  extern __shared__ double weights[];
  __shared__ double total;
  int row = blockIdx.x, head = blockIdx.y, n = length[row];
  const float* query = q + (static_cast<int64_t>(row) * heads + head) * 576;
  const float* keys = entries + static_cast<int64_t>(firstEntry[row]) * 576;
  for (int j = threadIdx.x; j < n; j += blockDim.x) {
    double s = 0;
    for (int i = 0; i < 576; i++) {
      s += static_cast<double>(query[i]) * keys[j * 576ll + i];
    }
    weights[j] = s * scale;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    double m = -INFINITY;
    for (int j = 0; j < n; j++) {
      m = fmax(m, weights[j]);
    }
    total = 0;
    for (int j = 0; j < n; j++) {
      weights[j] = exp(weights[j] - m);
      total += weights[j];
    }
  }
  __syncthreads();
  for (int i = threadIdx.x; i < 512; i += blockDim.x) {
    double sum = 0;
    for (int j = 0; j < n; j++) {
      sum += weights[j] * keys[j * 576ll + i];
    }
    out[(static_cast<int64_t>(row) * heads + head) * 512 + i] = sum / total;
  }
}

/** Rows over sequences in a paged cache whose unused entries and pages are NaN. */
struct AttentionProblem {
  int rows, heads, images;
  float scale;
  std::vector<int> length, pageStart, pages, firstEntry;
  std::vector<float> q, entries;
  std::vector<uint8_t> cache, queryImages;

  AttentionProblem(const std::vector<int>& lengths, int h, uint64_t seed)
      : rows(static_cast<int>(lengths.size())), heads(h), images((h + 63) / 64),
        scale(1.8133f / std::sqrt(192.f)), length(lengths) {
    int pageCount = 3;
    for (int n : lengths) {
      pageCount += (n + 63) / 64;
    }
    cache.assign(static_cast<size_t>(pageCount) * moontide::kPageBytes, 0xff);
    int taken = 0, entry = 0;
    for (int r = 0; r < rows; r++) {
      pageStart.push_back(static_cast<int>(pages.size()));
      firstEntry.push_back(entry);
      entry += length[r];
      for (int p = 0; p * 64 < length[r]; p++) {
        pages.push_back(static_cast<int>((++taken * 7919ll) % pageCount));
      }
    }
    // Multiples of a prime below pageCount may collide when it divides pageCount: fall back to descending pages.
    std::vector<int> check(pages);
    std::sort(check.begin(), check.end());
    if (std::adjacent_find(check.begin(), check.end()) != check.end()) {
      for (size_t i = 0; i < pages.size(); i++) {
        pages[i] = pageCount - 1 - static_cast<int>(i);
      }
    }
    entries = random_bf16(static_cast<size_t>(entry) * 576, seed, 1.f);
    for (int r = 0; r < rows; r++) {
      for (int j = 0; j < length[r]; j++) {
        for (int c = 0; c < 576; c++) {
          put(cache.data() + static_cast<size_t>(pages[pageStart[r] + j / 64]) * moontide::kPageBytes, j % 64, c,
              entries[static_cast<size_t>(firstEntry[r] + j) * 576 + c]);
        }
      }
    }
    q = random_bf16(static_cast<size_t>(rows) * heads * 576, seed + 1, 0.4f);
    queryImages.assign(static_cast<size_t>(rows) * images * moontide::kPageBytes, 0xff);
    for (int r = 0; r < rows; r++) {
      for (int head = 0; head < heads; head++) {
        for (int c = 0; c < 576; c++) {
          put(queryImages.data() + static_cast<size_t>(r * images + head / 64) * moontide::kPageBytes, head % 64, c,
              q[(static_cast<size_t>(r) * heads + head) * 576 + c]);
        }
      }
    }
  }

  static void put(uint8_t* page, int row, int column, float x) {
    uint16_t b = bits(x);
    std::memcpy(page + moontide::page_offset(row, column), &b, 2);
  }

  /** Output bits [row][head][512] of rows `first` to `first + count`. */
  std::vector<uint16_t> run(int first, int count, bool byPiece, int grid) const {
    Buffer<uint8_t> k(cache), queries(std::vector<uint8_t>(
        queryImages.begin() + static_cast<size_t>(first) * images * moontide::kPageBytes,
        queryImages.begin() + static_cast<size_t>(first + count) * images * moontide::kPageBytes));
    Buffer<int> table(pages), start(std::vector<int>(pageStart.begin() + first, pageStart.begin() + first + count)),
        lengths(std::vector<int>(length.begin() + first, length.begin() + first + count)), itemCount(1), firstItem(count);
    int capacity = (count + 7) / 8 * 8, pieces = 0;
    for (int r = first; r < first + count; r++) {
      pieces += (length[r] + 1023) / 1024;
    }
    using namespace moontide::attention;
    Buffer<uint8_t> out(static_cast<size_t>(heads) * 8 * capacity * 128);
    Buffer<Item> items(pieces);
    Buffer<float> partial(byPiece ? static_cast<size_t>(pieces) * images * kPartialFloats : 1),
        scratch(static_cast<size_t>(grid) * kPartialFloats);
    float scaled = scale * 1.44269504f;
    if (byPiece) {
      attend_plan<<<1, 1024>>>(lengths.data, count, items.data, itemCount.data, firstItem.data);
      attend<<<grid, 384, kAttendShared>>>(queries.data, k.data, table.data, start.data, lengths.data, count, heads,
          scaled, items.data, itemCount.data, partial.data, nullptr, out.data, capacity);
      attend_merge<<<dim3(count, images), 256>>>(lengths.data, firstItem.data, count, heads, partial.data, out.data,
                                                 capacity);
    } else {
      attend<<<grid, 384, kAttendShared>>>(queries.data, k.data, table.data, start.data, lengths.data, count, heads,
          scaled, nullptr, nullptr, nullptr, scratch.data, out.data, capacity);
    }
    CUDA(cudaGetLastError());
    CUDA(cudaDeviceSynchronize());
    std::vector<uint8_t> bytes = out.read();
    std::vector<uint16_t> result(static_cast<size_t>(count) * heads * 512);
    for (int r = 0; r < count; r++) {
      for (int head = 0; head < heads; head++) {
        for (int c = 0; c < 512; c++) {
          std::memcpy(&result[(static_cast<size_t>(r) * heads + head) * 512 + c],
                      bytes.data() + moontide::panel_offset(r, head * 1024 + 2 * c, capacity), 2);
        }
      }
    }
    return result;
  }
};

inline void check_attention(const std::vector<int>& lengths, int heads, uint64_t seed) {
  AttentionProblem problem(lengths, heads, seed);
  int sms = multiprocessors();
  std::vector<uint16_t> whole = problem.run(0, problem.rows, false, sms);
  expect(problem.run(0, problem.rows, true, sms) == whole && problem.run(0, problem.rows, false, 3) == whole,
         "attention, %d rows of up to %d entries, %d heads: by row and by piece, bits", problem.rows,
         *std::max_element(lengths.begin(), lengths.end()), heads);
  bool alone = true;
  for (int r = 0; r < problem.rows; r++) {
    std::vector<uint16_t> one = problem.run(r, 1, r % 2 == 0, sms);
    alone = alone && std::equal(one.begin(), one.end(), whole.begin() + static_cast<size_t>(r) * heads * 512);
  }
  expect(alone, "  a row alone has the same bits");
  Buffer<float> q(problem.q), entries(problem.entries);
  Buffer<int> first(problem.firstEntry), length(problem.length);
  Buffer<double> out(whole.size());
  int longest = *std::max_element(lengths.begin(), lengths.end());
  allow_shared(reference_attention, 64 * 1024);
  reference_attention<<<dim3(problem.rows, heads), 256, longest * 8>>>(q.data, entries.data, first.data, length.data,
                                                                     heads, problem.scale, out.data);
  CUDA(cudaGetLastError());
  std::vector<float> got(whole.size());
  std::transform(whole.begin(), whole.end(), got.begin(), from_bits);
  double e = error(got, out.read());
  expect(e < 2.5e-3, "  against float64: %.2e", e);
}

/** linear_bf16 on any shape, and with a panel of high and low parts. */
inline void check_bf16(int n, int k, int rows, int splits, bool precise, uint64_t seed) {
  std::vector<float> w = random_bf16(static_cast<size_t>(n) * k, seed, 0.05f), x(static_cast<size_t>(rows) * k);
  for (size_t i = 0; i < x.size(); i++) {
    x[i] = precise ? normal(seed * 7 + i) : rounded(normal(seed * 7 + i));
  }
  std::vector<double> want = product(x, w, rows, n, k);
  int kBlocks = (k + 63) / 64, tiles = MoeProblem::even((n + 127) / 128), capacity = (rows + 7) / 8 * 8;
  Buffer<uint16_t> wb(to_bits(w));
  Buffer<uint8_t> wt(static_cast<size_t>(tiles) * kBlocks * 16384);
  retile_bf16<<<dim3(kBlocks, tiles), 256>>>(wb.data, k, 1, n, k, wt.data, kBlocks, 0, 1);
  Buffer<float> from(x), ones(std::vector<float>(k, 1.f));
  size_t half = static_cast<size_t>(kBlocks) * capacity * 128;
  Buffer<uint8_t> a((precise ? 2 : 1) * half);
  tile_rows_bf16<<<rows, 256>>>(from.data, 1, k, rows, k, a.data, capacity);
  if (precise) {
    // What rounding lost, from the host: rms_norm's own writing of it is checked elsewhere.
    std::vector<float> lost(x.size());
    for (size_t i = 0; i < x.size(); i++) {
      lost[i] = x[i] - rounded(x[i]);
    }
    from.write(lost);
    tile_rows_bf16<<<rows, 256>>>(from.data, 1, k, rows, k, a.data + half, capacity);
  }
  auto sums = [&](int count, const uint8_t* panel, int panelRows) {
    Buffer<float> out(static_cast<size_t>(splits) * rows * n);
    linear_bf16<<<multiprocessors(), 384, kBf16Shared>>>(panel, panelRows, count, wt.data, precise ? 2 * kBlocks : kBlocks,
        kBlocks, tiles, splits, out.data, 1, n, n, rows);
    CUDA(cudaGetLastError());
    return out.read();
  };
  std::vector<float> parts = sums(rows, a.data, capacity), sum(want.size());
  for (size_t i = 0; i < sum.size(); i++) {
    sum[i] = parts[i];
    for (int s = 1; s < splits; s++) {
      sum[i] += parts[s * sum.size() + i];
    }
  }
  std::vector<float> one = sums(1, a.data, capacity);
  bool same = true;
  for (int s = 0; s < splits; s++) {
    same = same && same_bits(&one[s * sum.size()], &parts[s * sum.size()], n);
  }
  double e = error(sum, want);
  expect(e < (precise ? 3e-5 : 1e-4) && same, "bf16 N=%d K=%d M=%d splits=%d%s: %.2e, row 0 alone %s", n, k, rows, splits,
         precise ? " high+low" : "", e, same ? "bit-equal" : "DIFFERS");
}

/** From q_b's output to the queries, and from attention's output to o_proj's operand. */
inline void check_heads(int rows, int heads, uint64_t seed) {
  int capacity = (rows + 7) / 8 * 8, images = (heads + 63) / 64, stride = heads * 192;
  std::vector<float> q = random_bf16(static_cast<size_t>(rows) * stride, seed, 1.f);
  std::vector<float> kvB = random_bf16(static_cast<size_t>(heads) * 256 * 512, seed + 1, 0.05f);
  std::vector<int> position(rows);
  std::vector<float2> turn(1000 * 32);
  for (int r = 0; r < rows; r++) {
    position[r] = (r * 37 + 11) % 1000;
  }
  for (int p = 0; p < 1000; p++) {
    for (int i = 0; i < 32; i++) {
      double angle = p * std::pow(50000.0, -i / 32.0);
      turn[p * 32 + i] = {static_cast<float>(std::cos(angle)), static_cast<float>(std::sin(angle))};
    }
  }
  std::vector<float> backwards;
  for (int r = rows - 1; r >= 0; r--) {
    backwards.insert(backwards.end(), q.begin() + static_cast<size_t>(r) * stride, q.begin() + static_cast<size_t>(r + 1) * stride);
  }
  Buffer<uint16_t> qb(to_bits(backwards)), kvb(to_bits(kvB));
  Buffer<int> positions(position);
  Buffer<float2> turns(turn);
  // Rows in another order: the queries' from behind, the values' to there.
  std::vector<int> reversed(rows);
  for (int r = 0; r < rows; r++) {
    reversed[r] = rows - 1 - r;
  }
  Buffer<int> numbers(reversed);
  Buffer<uint8_t> nope(static_cast<size_t>(heads) * 2 * capacity * 128), queries(static_cast<size_t>(rows) * images * moontide::kPageBytes);
  Buffer<uint8_t> uk(static_cast<size_t>(heads) * 8 * 16384), up(static_cast<size_t>(heads) * 16 * 16384);
  for (int h = 0; h < heads; h++) {
    const uint16_t* from = kvb.data + static_cast<size_t>(h) * 256 * 512;
    retile_bf16<<<dim3(2, 4), 256>>>(from, 1, 512, 512, 128, uk.data, 2, h * 4, 1);
  }
  retile_bf16<<<dim3(8, 2 * heads), 256>>>(kvb.data, 512, 1, heads * 256, 512, up.data, 8, 0, 1);
  prepare_queries<<<rows, 256>>>(reinterpret_cast<__nv_bfloat16*>(qb.data), stride, turns.data, positions.data, numbers.data, heads,
                                 nope.data, capacity, queries.data);
  query_absorb<<<multiprocessors(), 384, kBf16Shared>>>(nope.data, capacity, rows, uk.data, heads, queries.data);
  CUDA(cudaGetLastError());
  std::vector<uint8_t> images8 = queries.read();
  std::vector<float> got, rope;
  std::vector<double> want, wantRope;
  for (int h = 0; h < heads; h++) {
    std::vector<float> x, w;
    for (int r = 0; r < rows; r++) {
      x.insert(x.end(), q.begin() + static_cast<size_t>(r) * stride + h * 192, q.begin() + static_cast<size_t>(r) * stride + h * 192 + 128);
    }
    for (int c = 0; c < 512; c++) {
      for (int n = 0; n < 128; n++) {
        w.push_back(kvB[(static_cast<size_t>(h) * 256 + n) * 512 + c]);
      }
    }
    std::vector<double> y = product(x, w, rows, 512, 128);
    want.insert(want.end(), y.begin(), y.end());
    for (int r = 0; r < rows; r++) {
      const uint8_t* image = images8.data() + static_cast<size_t>(r * images + h / 64) * moontide::kPageBytes;
      auto number = [&](int c) {
        uint16_t b;
        std::memcpy(&b, image + moontide::page_offset(h % 64, c), 2);
        return from_bits(b);
      };
      for (int c = 0; c < 512; c++) {
        got.push_back(number(c));
      }
      for (int i = 0; i < 32; i++) {
        double a = q[static_cast<size_t>(r) * stride + h * 192 + 128 + 2 * i];
        double b = q[static_cast<size_t>(r) * stride + h * 192 + 129 + 2 * i];
        double angle = position[r] * std::pow(50000.0, -i / 32.0);
        rope.push_back(number(512 + 2 * i));
        rope.push_back(number(513 + 2 * i));
        wantRope.push_back(a * std::cos(angle) - b * std::sin(angle));
        wantRope.push_back(a * std::sin(angle) + b * std::cos(angle));
      }
    }
  }
  double e = error(got, want), er = error(rope, wantRope);
  expect(e < 2.5e-3 && er < 2.5e-3, "queries, %d rows, %d heads: absorbed %.2e, rotated %.2e", rows, heads, e, er);

  std::vector<float> attended = random_bf16(static_cast<size_t>(rows) * heads * 512, seed + 2, 1.f);
  std::vector<uint8_t> panel(static_cast<size_t>(heads) * 8 * capacity * 128, 0xff);
  for (int r = 0; r < rows; r++) {
    for (int c = 0; c < heads * 512; c++) {
      uint16_t b = bits(attended[static_cast<size_t>(r) * heads * 512 + c]);
      std::memcpy(&panel[moontide::panel_offset(r, 2 * c, capacity)], &b, 2);
    }
  }
  Buffer<uint8_t> a(panel), out16(static_cast<size_t>(heads) * 2 * capacity * 128);
  Fp8Panel out8(rows, capacity, heads * 128);
  value_up<<<multiprocessors(), 384, kValueUpShared>>>(a.data, capacity, rows, up.data, heads, out8.bytes.data,
                                                       out8.scales.data, capacity, nullptr);
  value_up<<<multiprocessors(), 384, kValueUpShared>>>(a.data, capacity, rows, up.data, heads, out16.data, nullptr, capacity, numbers.data);
  CUDA(cudaGetLastError());
  std::vector<uint8_t> bytes16 = out16.read();
  std::vector<float> v8 = out8.values(), got8, got16;
  want.clear();
  for (int h = 0; h < heads; h++) {
    std::vector<float> x, w(kvB.begin() + (static_cast<size_t>(h) * 256 + 128) * 512, kvB.begin() + (static_cast<size_t>(h) + 1) * 256 * 512);
    for (int r = 0; r < rows; r++) {
      x.insert(x.end(), attended.begin() + (static_cast<size_t>(r) * heads + h) * 512, attended.begin() + (static_cast<size_t>(r) * heads + h + 1) * 512);
    }
    std::vector<double> y = product(x, w, rows, 128, 512);
    want.insert(want.end(), y.begin(), y.end());
    for (int r = 0; r < rows; r++) {
      for (int c = 0; c < 128; c++) {
        uint16_t b;
        std::memcpy(&b, &bytes16[moontide::panel_offset(rows - 1 - r, h * 256 + 2 * c, capacity)], 2);
        got16.push_back(from_bits(b));
        got8.push_back(v8[static_cast<size_t>(r) * heads * 128 + h * 128 + c]);
      }
    }
  }
  double e16 = error(got16, want), e8 = error(got8, want);
  expect(e16 < 2.5e-3 && e8 < 3e-2, "values, %d rows, %d heads: bf16 %.2e, FP8 %.2e", rows, heads, e16, e8);
}

/** softmax(scale · q·k) · v in float64, one (row, head) a block; k, v by entry and head. */
__global__ void reference_prompt(
    const float* q, const float* k, const float* v, const int* firstEntry, const int* length, int heads,
    double scale, double* out) {
  extern __shared__ double weights[];
  __shared__ double total;
  int row = blockIdx.x, head = blockIdx.y, n = length[row];
  for (int j = threadIdx.x; j < n; j += blockDim.x) {
    double s = 0;
    for (int i = 0; i < 192; i++) {
      s += static_cast<double>(q[(static_cast<int64_t>(row) * heads + head) * 192 + i]) *
           k[((firstEntry[row] + j) * static_cast<int64_t>(heads) + head) * 192 + i];
    }
    weights[j] = s * scale;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    double m = -INFINITY;
    for (int j = 0; j < n; j++) {
      m = fmax(m, weights[j]);
    }
    total = 0;
    for (int j = 0; j < n; j++) {
      weights[j] = exp(weights[j] - m);
      total += weights[j];
    }
  }
  __syncthreads();
  for (int i = threadIdx.x; i < 128; i += blockDim.x) {
    double sum = 0;
    for (int j = 0; j < n; j++) {
      sum += weights[j] * v[((firstEntry[row] + j) * static_cast<int64_t>(heads) + head) * 128 + i];
    }
    out[(static_cast<int64_t>(row) * heads + head) * 128 + i] = sum / total;
  }
}

/** Tokens `first` to `first + count` of sequence `sequence`, in a step. */
struct Chunk {
  int sequence, first, count;
};

inline void check_prompt(const std::vector<int>& lengths, int heads, uint64_t seed) {
  using moontide::prompt::PromptTile;
  // Sequences in pages of a cache with NaN elsewhere; all of them expanded.
  std::vector<int> firstPage, firstEntry, pages;
  int pageCount = 2, entryCount = 0;
  for (int n : lengths) {
    pageCount += (n + 63) / 64;
  }
  for (int n : lengths) {
    firstPage.push_back(static_cast<int>(pages.size()));
    firstEntry.push_back(entryCount);
    entryCount += n;
    for (int i = 0; i < n; i += 64) {
      pages.push_back(pageCount - 1 - static_cast<int>(pages.size()));
    }
  }
  std::vector<float> entries = random_bf16(static_cast<size_t>(entryCount) * 576, seed, 1.f);
  std::vector<uint8_t> cache(static_cast<size_t>(pageCount) * moontide::kPageBytes, 0xff);
  std::vector<float> q = random_bf16(static_cast<size_t>(entryCount) * heads * 192, seed + 1, 0.4f), latent;
  for (size_t s = 0; s < lengths.size(); s++) {
    for (int j = 0; j < lengths[s]; j++) {
      for (int c = 0; c < 576; c++) {
        float x = entries[(static_cast<size_t>(firstEntry[s]) + j) * 576 + c];
        AttentionProblem::put(&cache[static_cast<size_t>(pages[firstPage[s] + j / 64]) * moontide::kPageBytes], j % 64, c, x);
        if (c < 512) {
          latent.push_back(x);
        }
      }
    }
  }
  std::vector<float> kvB = random_bf16(static_cast<size_t>(heads) * 256 * 512, seed + 2, 0.05f);
  Buffer<uint16_t> kvb(to_bits(kvB));
  Buffer<uint8_t> up(static_cast<size_t>(heads) * 16 * 16384), k(cache);
  retile_bf16<<<dim3(8, 2 * heads), 256>>>(kvb.data, 512, 1, heads * 256, 512, up.data, 8, 0, 1);
  Buffer<int> table(pages);
  int kvRows = static_cast<int>(pages.size()) * 64;
  Buffer<uint8_t> kv(static_cast<size_t>(heads) * 4 * kvRows * 128);
  expand_latent<<<multiprocessors(), 384, kBf16Shared>>>(k.data, table.data, static_cast<int>(pages.size()), up.data, heads, kv.data, kvRows);
  CUDA(cudaGetLastError());
  std::vector<uint8_t> expanded = kv.read();
  std::vector<float> all, keys, values;
  for (size_t s = 0; s < lengths.size(); s++) {
    for (int j = 0; j < lengths[s]; j++) {
      for (int h = 0; h < heads; h++) {
        for (int c = 0; c < 256; c++) {
          uint16_t b;
          std::memcpy(&b, &expanded[moontide::panel_offset(firstPage[s] * 64 + j, h * 512 + 2 * c, kvRows)], 2);
          all.push_back(from_bits(b));
          (c < 128 ? keys : values).push_back(from_bits(b));
        }
        for (int c = 512; c < 576; c++) {
          keys.push_back(entries[(static_cast<size_t>(firstEntry[s]) + j) * 576 + c]);
        }
      }
    }
  }
  double e = error(all, product(latent, kvB, entryCount, heads * 256, 512));
  expect(e < 2.5e-3, "expanded latents, %d entries, %d heads: %.2e", entryCount, heads, e);

  float scale = 1.8133f / std::sqrt(192.f);
  auto run = [&](const std::vector<Chunk>& chunks, bool fp8) {
    std::vector<uint16_t> rows;
    std::vector<int> length;
    std::vector<PromptTile> tiles;
    int row = 0;
    for (const Chunk& c : chunks) {
      for (int at = row; at < row + c.count;) {
        int first = at / 8 * 8, end = std::min(first + 128, row + c.count);
        tiles.push_back({first, at, end, firstPage[c.sequence], firstPage[c.sequence] * 64, c.first + end - row});
        at = end;
      }
      for (int i = 0; i < c.count; i++) {
        length.push_back(c.first + i + 1);
        size_t from = (static_cast<size_t>(firstEntry[c.sequence]) + c.first + i) * heads * 192;
        for (int x = 0; x < heads * 192; x++) {
          rows.push_back(bits(q[from + x]));
        }
      }
      row += c.count;
    }
    int capacity = (row + 7) / 8 * 8;
    Buffer<uint16_t> qb(rows);
    Buffer<float2> still(std::vector<float2>(32, float2{1.f, 0.f}));
    Buffer<int> lengthBuffer(length), position(std::vector<int>(row, 0));
    Buffer<PromptTile> tileBuffer(tiles);
    Buffer<uint8_t> panel(static_cast<size_t>(heads) * 3 * capacity * 128), out16(static_cast<size_t>(heads) * 2 * capacity * 128);
    Fp8Panel out8(row, capacity, heads * 128);
    prepare_queries<<<row, 256>>>(reinterpret_cast<__nv_bfloat16*>(qb.data), heads * 192, still.data, position.data, nullptr, heads, panel.data,
                                  capacity, nullptr);
    attend_prompt<<<multiprocessors(), 384, kPromptShared>>>(panel.data, capacity, k.data, table.data, kv.data, kvRows, tileBuffer.data,
        static_cast<int>(tiles.size()), lengthBuffer.data, heads, scale * 1.44269504f, fp8 ? out8.bytes.data : out16.data,
        fp8 ? out8.scales.data : nullptr, capacity);
    CUDA(cudaGetLastError());
    std::vector<float> result = fp8 ? out8.values() : std::vector<float>();
    if (!fp8) {
      std::vector<uint8_t> bytes = out16.read();
      for (int r = 0; r < row; r++) {
        for (int c = 0; c < heads * 128; c++) {
          uint16_t b;
          std::memcpy(&b, &bytes[moontide::panel_offset(r, 2 * c, capacity)], 2);
          result.push_back(from_bits(b));
        }
      }
    }
    return result;
  };
  std::vector<Chunk> whole;
  std::vector<int> first, length;
  for (size_t s = 0; s < lengths.size(); s++) {
    whole.push_back({static_cast<int>(s), 0, lengths[s]});
    for (int j = 0; j < lengths[s]; j++) {
      first.push_back(firstEntry[s]);
      length.push_back(j + 1);
    }
  }
  std::vector<float> out = run(whole, false);
  Buffer<float> qf(q), kf(keys), vf(values);
  Buffer<int> firsts(first), lengthsBuffer(length);
  Buffer<double> want(static_cast<size_t>(entryCount) * heads * 128);
  allow_shared(reference_prompt, 64 * 1024);
  reference_prompt<<<dim3(entryCount, heads), 256, *std::max_element(lengths.begin(), lengths.end()) * 8>>>(
      qf.data, kf.data, vf.data, firsts.data, lengthsBuffer.data, heads, scale, want.data);
  CUDA(cudaGetLastError());
  double e16 = error(out, want.read()), e8 = error(run(whole, true), want.read());
  expect(e16 < 2.5e-3 && e8 < 3e-2, "prompt attention, %d rows, %d heads: bf16 %.2e, FP8 %.2e", entryCount, heads, e16, e8);
  bool same = true;
  for (size_t s = 0; s < lengths.size(); s++) {
    int half = lengths[s] / 2, last = lengths[s] - 1;
    std::vector<Chunk> chunks = {{static_cast<int>((s + 1) % lengths.size()), 0, 3}, {static_cast<int>(s), half, lengths[s] - half},
                                 {static_cast<int>(s), last, 1}};
    std::vector<float> part = run(chunks, false);
    size_t width = static_cast<size_t>(heads) * 128;
    same = same && same_bits(part.data() + 3 * width, out.data() + (static_cast<size_t>(firstEntry[s]) + half) * width, (lengths[s] - half) * width);
    same = same && same_bits(part.data() + (3 + lengths[s] - half) * width, out.data() + (static_cast<size_t>(firstEntry[s]) + last) * width, width);
  }
  expect(same, "  a row in another chunk has the same bits");
}

/** The norms, the cache entries and their copies. */
inline void check_rows(int rows, int columns, int splits, uint64_t seed) {
  int capacity = (rows + 7) / 8 * 8, width = columns + 576;
  std::vector<float> x(static_cast<size_t>(rows) * columns), parts(static_cast<size_t>(splits) * rows * width), gain(columns), kvGain(512);
  for (size_t i = 0; i < x.size(); i++) {
    x[i] = normal(seed + i);
  }
  for (size_t i = 0; i < parts.size(); i++) {
    parts[i] = normal(seed * 3 + i);
  }
  for (int i = 0; i < columns; i++) {
    gain[i] = 0.5f + uniform(seed * 5 + i);
  }
  for (int i = 0; i < 512; i++) {
    kvGain[i] = 0.5f + uniform(seed * 11 + i);
  }
  Buffer<float> xb(x), pb(parts), gb(gain), kb(kvGain), sum(x.size());
  int kBlocks64 = (columns + 63) / 64;
  size_t half = static_cast<size_t>(kBlocks64) * capacity * 128;
  Fp8Panel fp8(rows, capacity, columns);
  Buffer<uint8_t> high(2 * half);
  rms_norm<<<rows, 256, columns * 4>>>(xb.data, columns, pb.data, splits, static_cast<long long>(rows) * width, width, columns,
      gb.data, 1e-6f, sum.data, fp8.bytes.data, fp8.scales.data, high.data, high.data + half, capacity);
  CUDA(cudaGetLastError());
  std::vector<double> want, wantSum;
  std::vector<float> got;
  std::vector<uint8_t> bytes = high.read();
  for (int r = 0; r < rows; r++) {
    std::vector<double> v(columns);
    double squares = 0;
    for (int i = 0; i < columns; i++) {
      v[i] = x[static_cast<size_t>(r) * columns + i];
      for (int s = 0; s < splits; s++) {
        v[i] += parts[(static_cast<size_t>(s) * rows + r) * width + i];
      }
      squares += v[i] * v[i];
      wantSum.push_back(v[i]);
    }
    for (int i = 0; i < columns; i++) {
      want.push_back(v[i] / std::sqrt(squares / columns + 1e-6) * gain[i]);
      uint16_t h, l;
      std::memcpy(&h, &bytes[moontide::panel_offset(r, 2 * i, capacity)], 2);
      std::memcpy(&l, &bytes[half + moontide::panel_offset(r, 2 * i, capacity)], 2);
      got.push_back(from_bits(h) + from_bits(l));
    }
  }
  double e = error(got, want), es = error(sum.read(), wantSum), e8 = error(fp8.values(), want);
  expect(e < 1e-5 && es < 1e-6 && e8 < 3e-2, "norm, %d rows of %d, %d parts: high+low %.2e, sum %.2e, FP8 %.2e", rows,
         columns, splits, e, es, e8);

  std::vector<int> slot(rows), other(rows), position(rows);
  for (int r = 0; r < rows; r++) {
    slot[r] = (r * 67) % (rows * 70);
    other[r] = rows * 70 + 64 + r;
    position[r] = r % 5;
  }
  std::vector<float2> turn(5 * 32);
  for (size_t i = 0; i < turn.size(); i++) {
    turn[i] = {std::cos(0.1f * i), std::sin(0.1f * i)};
  }
  Buffer<int> slots(slot), others(other), positions(position);
  Buffer<float2> turns(turn);
  Buffer<uint8_t> cache(static_cast<size_t>(rows * 71 / 64 + 3) * moontide::kPageBytes);
  append_latent<<<rows, 128>>>(pb.data, splits, static_cast<long long>(rows) * width, width, columns, kb.data, 1e-6f, turns.data,
                               positions.data, slots.data, cache.data);
  copy_entries<<<(rows + 7) / 8, 256>>>(cache.data, slots.data, others.data, rows);
  CUDA(cudaGetLastError());
  std::vector<uint8_t> c = cache.read();
  got.clear();
  want.clear();
  bool copied = true;
  for (int r = 0; r < rows; r++) {
    std::vector<double> v(576, 0.0);
    double squares = 0;
    for (int i = 0; i < 576; i++) {
      for (int s = 0; s < splits; s++) {
        v[i] += parts[(static_cast<size_t>(s) * rows + r) * width + columns + i];
      }
      squares += i < 512 ? v[i] * v[i] : 0;
    }
    for (int i = 0; i < 576; i++) {
      double y = i < 512 ? v[i] / std::sqrt(squares / 512 + 1e-6) * kvGain[i] : 0;
      if (i >= 512) {
        float2 t = turn[position[r] * 32 + (i - 512) / 2];
        int pair = i & ~1;
        y = i % 2 == 0 ? v[pair] * t.x - v[pair + 1] * t.y : v[pair] * t.y + v[pair + 1] * t.x;
      }
      want.push_back(y);
      uint16_t a, b;
      std::memcpy(&a, &c[static_cast<size_t>(slot[r] / 64) * moontide::kPageBytes + moontide::page_offset(slot[r] % 64, i)], 2);
      std::memcpy(&b, &c[static_cast<size_t>(other[r] / 64) * moontide::kPageBytes + moontide::page_offset(other[r] % 64, i)], 2);
      copied = copied && a == b;
      got.push_back(from_bits(a));
    }
  }
  e = error(got, want);
  expect(e < 2.5e-3 && copied, "cache entries, %d: %.2e, copies %s", rows, e, copied ? "equal" : "DIFFER");
}
