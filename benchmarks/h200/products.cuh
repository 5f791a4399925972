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
// The FP8 products: experts from choice to sum, and plain ones.
#pragma once

#include "../../gpu-engine/src/main/cuda/hopper/gemm_fp8.cu"
#include "../../gpu-engine/src/main/cuda/hopper/moe.cu"
#include "../../gpu-engine/src/main/cuda/hopper/retile.cu"
#include "harness.cuh"

using moontide::RowGroup;

using GateUpKernel = void (*)(const uint8_t*, const float*, int, const uint8_t*, const float*,
                              const RowGroup*, const int*, int, int, int, uint8_t*, float*, int);
using LinearKernel = void (*)(const uint8_t*, const float*, int, const uint8_t*, const float*,
                              const RowGroup*, const int*, int, int, int, int, void*, int, int, int, int);

/** The kernels of one number of rows a tile. */
struct Variant {
  int rows;
  GateUpKernel gateUp;
  int gateUpShared;
  LinearKernel linear;
  int linearShared;
};

template <int Rows>
Variant variant(GateUpKernel gateUp, LinearKernel linear) {
  using namespace moontide::fp8;
  Variant v = {Rows, gateUp, GateUp<Rows>::S::kBytes, linear, Linear<Rows>::S::kBytes};
  allow_shared(gateUp, v.gateUpShared);
  allow_shared(linear, v.linearShared);
  return v;
}

inline const std::vector<Variant>& variants() {
  static const std::vector<Variant> all = {
      variant<16>(gate_up_16, linear_16), variant<32>(gate_up_32, linear_32),
      variant<64>(gate_up_64, linear_64), variant<128>(gate_up_128, linear_128)};
  return all;
}

/** A block-scaled FP8 matrix: row-major numbers as the reference sees them. */
struct Fp8Matrix {
  int rows;
  int columns;
  std::vector<uint8_t> bytes;
  std::vector<float> scales;
  std::vector<float> values;

  Fp8Matrix(int r, int c, uint64_t seed) : rows(r), columns(c) {
    int blocks = (c + 127) / 128;
    bytes.resize(static_cast<size_t>(r) * c);
    values.resize(bytes.size());
    scales.resize(static_cast<size_t>((r + 127) / 128) * blocks);
    for (size_t i = 0; i < scales.size(); i++) {
      scales[i] = 1e-4f * (0.5f + uniform(seed * 77 + i));
    }
    for (size_t i = 0; i < bytes.size(); i++) {
      bytes[i] = __nv_cvt_float_to_fp8(60.f * normal(seed * 1000003 + i), __NV_SATFINITE, __NV_E4M3);
      values[i] = from_fp8(bytes[i]) * scales[(i / c / 128) * blocks + i % c / 128];
    }
  }

  /** Writes its tiles at `out`, which has room for `tiles` row tiles. */
  void retile(uint8_t* out, float* outScales, int tiles, int first, int step) const {
    Buffer<uint8_t> from(bytes);
    Buffer<float> scale(scales);
    int kBlocks = (columns + 127) / 128;
    retile_fp8<<<dim3(kBlocks, tiles), 256>>>(from.data, scale.data, rows, columns, out, outScales,
                                              kBlocks, first, step);
    CUDA(cudaDeviceSynchronize());
  }
};

/** Activations in float32, quantised on the device; `values` is what the FP8 stands for. */
struct Fp8Panel {
  int rows;
  int capacity;
  int columns;
  int kBlocks;
  Buffer<uint8_t> bytes;
  Buffer<float> scales;

  Fp8Panel(int r, int capacity, int c)
      : rows(r), capacity(capacity), columns(c), kBlocks((c + 127) / 128),
        bytes(static_cast<size_t>(kBlocks) * capacity * 128), scales(static_cast<size_t>(kBlocks) * capacity) {}

  void quantise(const std::vector<float>& x) {
    Buffer<float> from(x);
    quantise_rows<<<rows, 256>>>(from.data, 1, columns, rows, columns, bytes.data, scales.data, capacity);
    CUDA(cudaDeviceSynchronize());
  }

  std::vector<float> values() const {
    std::vector<uint8_t> b = bytes.read();
    std::vector<float> s = scales.read();
    std::vector<float> v(static_cast<size_t>(rows) * columns);
    for (int r = 0; r < rows; r++) {
      for (int c = 0; c < columns; c++) {
        v[static_cast<size_t>(r) * columns + c] =
            from_fp8(b[moontide::panel_offset(r, c, capacity)]) * s[static_cast<size_t>(c / 128) * capacity + r];
      }
    }
    return v;
  }
};

/** A layer's routed experts and one step through them. */
struct MoeProblem {
  int experts, hidden, intermediate, topK;
  std::vector<Fp8Matrix> gate, up, down;
  int kBlocks1, tiles1, kBlocks2, tiles2;
  Buffer<uint8_t> w1, w2;
  Buffer<float> s1, s2;

  static int even(int tiles) { return (tiles + 1) / 2 * 2; }

  MoeProblem(int e, int h, int i, int k, uint64_t seed)
      : experts(e), hidden(h), intermediate(i), topK(k), kBlocks1((h + 127) / 128),
        tiles1(2 * ((i + 127) / 128)), kBlocks2((i + 127) / 128), tiles2(even((h + 127) / 128)),
        w1(static_cast<size_t>(e) * tiles1 * kBlocks1 * 16384), w2(static_cast<size_t>(e) * tiles2 * kBlocks2 * 16384),
        s1(static_cast<size_t>(e) * tiles1 * kBlocks1), s2(static_cast<size_t>(e) * tiles2 * kBlocks2) {
    for (int x = 0; x < e; x++) {
      gate.emplace_back(i, h, seed + 3 * x);
      up.emplace_back(i, h, seed + 3 * x + 1);
      down.emplace_back(h, i, seed + 3 * x + 2);
      gate[x].retile(w1.data, s1.data, tiles1 / 2, x * tiles1, 2);
      up[x].retile(w1.data, s1.data, tiles1 / 2, x * tiles1 + 1, 2);
      down[x].retile(w2.data, s2.data, tiles2, x * tiles2, 1);
    }
  }

  struct Result {
    std::vector<float> x;             // [tokens][hidden], from zero
    std::vector<uint8_t> product;     // bytes of GEMM2's panel by [token · topK + k][intermediate]
    std::vector<float> productScale;  // [token · topK + k][kBlocks2]
    std::vector<int> slot;
  };

  /** Everything from the choice to the weighted sum. */
  Result forward(const std::vector<float>& x, const std::vector<int>& choice,
                 const std::vector<float>& weight, const Variant& v) const {
    int tokens = static_cast<int>(choice.size()) / topK;
    Fp8Panel a(tokens, (tokens + 7) / 8 * 8, hidden);
    a.quantise(x);
    int blocks = (tokens + 127) / 128;
    int capacity = (tokens * topK + 7 * std::min(experts, tokens * topK) + 7) / 8 * 8;
    Buffer<int> choices(choice), counts(static_cast<size_t>(blocks) * experts), tileCount(1);
    Buffer<float> weights(weight), slotWeight(weight.size());
    Buffer<RowGroup> tiles(tokens * topK / v.rows + std::min(experts, tokens * topK));
    Buffer<int> slot(choice.size());
    Fp8Panel in(capacity, capacity, hidden), mid(capacity, capacity, intermediate);
    Buffer<__nv_bfloat16> y(static_cast<size_t>(capacity) * hidden);
    Buffer<float> out(static_cast<size_t>(tokens) * hidden);
    out.zero();
    moe_count<<<blocks, 256, experts * 16>>>(choices.data, tokens, topK, experts, counts.data);
    moe_scan<<<1, 1024>>>(counts.data, blocks, experts, v.rows, tiles.data, tileCount.data);
    moe_scatter<<<blocks, 256, experts * 16>>>(choices.data, weights.data, tokens, topK, experts,
                                               counts.data, slot.data, slotWeight.data);
    moe_gather<<<dim3(tokens, (kBlocks1 + 7) / 8), 256>>>(a.bytes.data, a.scales.data, a.capacity, slot.data,
                                                         topK, kBlocks1, in.bytes.data, in.scales.data, capacity);
    v.gateUp<<<multiprocessors(), 384, v.gateUpShared>>>(
        in.bytes.data, in.scales.data, capacity, w1.data, s1.data, tiles.data, tileCount.data, 0, kBlocks1,
        tiles1, mid.bytes.data, mid.scales.data, capacity);
    v.linear<<<multiprocessors(), 384, v.linearShared>>>(
        mid.bytes.data, mid.scales.data, capacity, w2.data, s2.data, tiles.data, tileCount.data, 0, kBlocks2,
        tiles2, 1, y.data, 0, hidden, hidden, capacity);
    moe_combine<<<dim3(tokens, (hidden + 1023) / 1024), 256>>>(out.data, y.data, slot.data, slotWeight.data,
                                                              topK, hidden);
    CUDA(cudaGetLastError());
    CUDA(cudaDeviceSynchronize());
    Result r;
    r.x = out.read();
    r.slot = slot.read();
    std::vector<uint8_t> bytes = mid.bytes.read();
    std::vector<float> scales = mid.scales.read();
    for (int s : r.slot) {
      for (int i = 0; i < intermediate; i++) {
        r.product.push_back(bytes[moontide::panel_offset(s, i, capacity)]);
      }
      for (int k = 0; k < kBlocks2; k++) {
        r.productScale.push_back(scales[static_cast<size_t>(k) * capacity + s]);
      }
    }
    return r;
  }
};

/** `topK` different experts a token, the first few far likelier. */
inline std::vector<int> random_choice(int tokens, int topK, int experts, uint64_t seed) {
  std::vector<int> all;
  for (int t = 0; t < tokens; t++) {
    std::vector<std::pair<float, int>> keys;
    for (int e = 0; e < experts; e++) {
      keys.push_back({uniform(seed + t * 1000003ull + e) * (e < 3 ? 0.3f : 1.f), e});
    }
    std::partial_sort(keys.begin(), keys.begin() + topK, keys.end());
    for (int k = 0; k < topK; k++) {
      all.push_back(keys[k].second);
    }
  }
  return all;
}

inline void check_experts(int experts, int hidden, int intermediate, int topK, int tokens, uint64_t seed) {
  MoeProblem moe(experts, hidden, intermediate, topK, seed);
  std::vector<float> x(static_cast<size_t>(tokens) * hidden), weight(static_cast<size_t>(tokens) * topK);
  for (size_t i = 0; i < x.size(); i++) {
    x[i] = normal(seed * 31 + i);
  }
  for (size_t i = 0; i < weight.size(); i++) {
    weight[i] = 0.1f + uniform(seed * 37 + i);
  }
  std::vector<int> choice = random_choice(tokens, topK, experts, seed);
  MoeProblem::Result first;
  for (const Variant& v : variants()) {
    MoeProblem::Result r = moe.forward(x, choice, weight, v);
    if (v.rows == 16) {
      first = r;
    } else {
      expect(same_bits(r.x.data(), first.x.data(), r.x.size()) && r.product == first.product &&
                 r.productScale == first.productScale,
             "experts E=%d H=%d I=%d k=%d T=%d: %d rows a tile give the bits of 16", experts, hidden,
             intermediate, topK, tokens, v.rows);
    }
  }
  // Every token alone, in a tile of its own.
  bool alone = true;
  for (int t = 0; t < tokens; t += std::max(1, tokens / 5)) {
    std::vector<float> row(x.begin() + static_cast<size_t>(t) * hidden, x.begin() + static_cast<size_t>(t + 1) * hidden);
    std::vector<int> c(choice.begin() + t * topK, choice.begin() + (t + 1) * topK);
    std::vector<float> w(weight.begin() + t * topK, weight.begin() + (t + 1) * topK);
    for (const Variant& v : variants()) {
      alone = alone && same_bits(moe.forward(row, c, w, v).x.data(), first.x.data() + static_cast<size_t>(t) * hidden, hidden);
    }
  }
  expect(alone, "  a token alone has the bits it has among %d", tokens);

  // Float64 by expert, on the quantised inputs of each product.
  Fp8Panel a(tokens, (tokens + 7) / 8 * 8, hidden);
  a.quantise(x);
  std::vector<float> ax = a.values();
  std::vector<double> sum(x.size(), 0.0);
  size_t equal = 0, total = 0;
  double quantised = 0, norm = 0;
  for (int e = 0; e < experts; e++) {
    std::vector<float> rows, products;
    std::vector<int> owner, rank;
    for (int t = 0; t < tokens; t++) {
      for (int k = 0; k < topK; k++) {
        if (choice[t * topK + k] == e) {
          int r = 0;
          for (int j = 0; j < topK; j++) {
            r += choice[t * topK + j] < e;
          }
          owner.push_back(t * topK + k);
          rank.push_back(t * topK + r);
          rows.insert(rows.end(), ax.begin() + static_cast<size_t>(t) * hidden, ax.begin() + static_cast<size_t>(t + 1) * hidden);
        }
      }
    }
    int n = static_cast<int>(owner.size());
    if (n == 0) {
      continue;
    }
    std::vector<double> g = product(rows, moe.gate[e].values, n, intermediate, hidden);
    std::vector<double> u = product(rows, moe.up[e].values, n, intermediate, hidden);
    for (int i = 0; i < n; i++) {
      for (int block = 0; block * 128 < intermediate; block++) {
        int end = std::min(intermediate, block * 128 + 128);
        double m = 1e-4;
        std::vector<double> h;
        for (int f = block * 128; f < end; f++) {
          double gate = g[static_cast<size_t>(i) * intermediate + f];
          h.push_back(gate / (1 + std::exp(-gate)) * u[static_cast<size_t>(i) * intermediate + f]);
          m = std::max(m, std::fabs(h.back()));
        }
        float scale = first.productScale[static_cast<size_t>(rank[i]) * moe.kBlocks2 + block];
        for (int f = block * 128; f < end; f++) {
          uint8_t byte = first.product[static_cast<size_t>(rank[i]) * intermediate + f];
          uint8_t want = __nv_cvt_double_to_fp8(h[f - block * 128] * (448 / m), __NV_SATFINITE, __NV_E4M3);
          equal += byte == want;
          total++;
          double d = from_fp8(byte) * static_cast<double>(scale) - from_fp8(want) * (m / 448);
          quantised += d * d;
          norm += h[f - block * 128] * h[f - block * 128];
          products.push_back(from_fp8(byte) * scale);
        }
      }
    }
    std::vector<double> y = product(products, moe.down[e].values, n, hidden, intermediate);
    for (int i = 0; i < n; i++) {
      for (int c = 0; c < hidden; c++) {
        sum[static_cast<size_t>(owner[i] / topK) * hidden + c] += weight[owner[i]] * y[static_cast<size_t>(i) * hidden + c];
      }
    }
  }
  double q = std::sqrt(quantised / norm);
  expect(q < 5e-3 && equal > 0.98 * total, "  gate-up against float64: %.2e, bytes equal %.3f%%", q,
         100.0 * equal / total);
  double e = error(first.x, sum);
  expect(e < 2.5e-3, "  sum against float64: %.2e", e);
}

/** gate_up of a dense layer (no groups) in every variant: bits, and rows beyond the last left alone. */
inline void check_dense_gate_up(int hidden, int intermediate, int rows, uint64_t seed) {
  MoeProblem layer(1, hidden, intermediate, 1, seed);
  std::vector<float> x(static_cast<size_t>(rows) * hidden);
  for (size_t i = 0; i < x.size(); i++) {
    x[i] = normal(seed * 41 + i);
  }
  MoeProblem::Result grouped = layer.forward(x, std::vector<int>(rows, 0), std::vector<float>(rows, 1.f), variants()[0]);
  int capacity = (rows + 15) / 8 * 8;
  Fp8Panel a(rows, capacity, hidden);
  a.quantise(x);
  bool same = true, kept = true;
  for (const Variant& v : variants()) {
    Fp8Panel out(rows, capacity, intermediate);
    v.gateUp<<<multiprocessors(), 384, v.gateUpShared>>>(a.bytes.data, a.scales.data, capacity, layer.w1.data, layer.s1.data,
        nullptr, nullptr, rows, layer.kBlocks1, layer.tiles1, out.bytes.data, out.scales.data, capacity);
    CUDA(cudaGetLastError());
    std::vector<uint8_t> bytes = out.bytes.read();
    std::vector<float> scales = out.scales.read();
    for (int k = 0; k < layer.kBlocks2; k++) {
      for (int r = 0; r < capacity; r++) {
        float scale = scales[static_cast<size_t>(k) * capacity + r];
        kept = kept && (r < rows || std::isnan(scale));
        same = same && (r >= rows || scale == grouped.productScale[static_cast<size_t>(r) * layer.kBlocks2 + k]);
        for (int c = k * 128; c < std::min(intermediate, k * 128 + 128); c++) {
          uint8_t byte = bytes[moontide::panel_offset(r, c, capacity)];
          kept = kept && (r < rows || byte == 0xff);
          same = same && (r >= rows || byte == grouped.product[static_cast<size_t>(r) * intermediate + c]);
        }
      }
    }
  }
  expect(same && kept, "dense gate-up H=%d I=%d M=%d: %s, padding %s", hidden, intermediate, rows,
         same ? "the bits of the grouped" : "DIFFERS from the grouped", kept ? "kept" : "WRITTEN");
}

/** One plain product in every variant and way of storing. */
inline void check_linear(int n, int k, int rows, int splits, uint64_t seed) {
  Fp8Matrix w(n, k, seed);
  int tiles = MoeProblem::even((n + 127) / 128), kBlocks = (k + 127) / 128;
  Buffer<uint8_t> wt(static_cast<size_t>(tiles) * kBlocks * 16384);
  Buffer<float> ws(static_cast<size_t>(tiles) * kBlocks);
  w.retile(wt.data, ws.data, tiles, 0, 1);
  std::vector<float> x(static_cast<size_t>(rows) * k);
  for (size_t i = 0; i < x.size(); i++) {
    x[i] = normal(seed * 13 + i);
  }
  Fp8Panel a(rows, (rows + 7) / 8 * 8, k);
  a.quantise(x);
  std::vector<double> want = product(a.values(), w.values, rows, n, k);
  std::vector<float> first;
  double worst = 0, worstBf16 = 0;
  bool same = true, kept = true;
  int capacity = rows + 3;
  for (const Variant& v : variants()) {
    Buffer<float> out(static_cast<size_t>(splits) * capacity * n);
    v.linear<<<multiprocessors(), 384, v.linearShared>>>(a.bytes.data, a.scales.data, a.capacity, wt.data, ws.data,
        nullptr, nullptr, rows, kBlocks, tiles, splits, out.data, 1, n, n, capacity);
    std::vector<float> parts = out.read(), sum(static_cast<size_t>(rows) * n);
    for (size_t i = 0; i < sum.size(); i++) {
      float s = parts[i];
      for (int p = 1; p < splits; p++) {
        s += parts[static_cast<size_t>(p) * capacity * n + i];
      }
      sum[i] = s;
    }
    for (int p = 0; p < splits; p++) {
      for (size_t i = static_cast<size_t>(rows) * n; i < static_cast<size_t>(capacity) * n; i++) {
        kept = kept && std::isnan(parts[static_cast<size_t>(p) * capacity * n + i]);
      }
    }
    worst = std::max(worst, error(sum, want));
    if (v.rows == 16) {
      first = parts;
    }
    same = same && same_bits(parts.data(), first.data(), parts.size());
    Buffer<__nv_bfloat16> out16(static_cast<size_t>(capacity) * n);
    v.linear<<<multiprocessors(), 384, v.linearShared>>>(a.bytes.data, a.scales.data, a.capacity, wt.data, ws.data,
        nullptr, nullptr, rows, kBlocks, tiles, 1, out16.data, 0, n, n, capacity);
    std::vector<__nv_bfloat16> b = out16.read();
    std::vector<float> asFloat;
    for (int i = 0; i < rows * n; i++) {
      asFloat.push_back(__bfloat162float(b[i]));
    }
    worstBf16 = std::max(worstBf16, error(asFloat, want));
    kept = kept && std::isnan(__bfloat162float(b[static_cast<size_t>(rows) * n]));
    Buffer<float> added(std::vector<float>(static_cast<size_t>(rows) * n, 1.f));
    v.linear<<<multiprocessors(), 384, v.linearShared>>>(a.bytes.data, a.scales.data, a.capacity, wt.data, ws.data,
        nullptr, nullptr, rows, kBlocks, tiles, 1, added.data, 2, n, n, rows);
    std::vector<float> plus = added.read();
    for (float& p : plus) {
      p -= 1.f;
    }
    worst = std::max(worst, error(plus, want));
  }
  expect(worst < 1e-3 && worstBf16 < 2.5e-3 && same && kept,
         "linear N=%d K=%d M=%d splits=%d: float32 %.2e, bf16 %.2e, tiles %s, padding %s", n, k, rows, splits, worst,
         worstBf16, same ? "bit-equal" : "DIFFER", kept ? "kept" : "WRITTEN");
  // Row 0 of another batch of another size is the last row of this one.
  Fp8Panel one(1, 8, k);
  one.quantise(std::vector<float>(x.end() - k, x.end()));
  bool alone = true;
  for (const Variant& v : variants()) {
    Buffer<float> out(static_cast<size_t>(splits) * n);
    v.linear<<<multiprocessors(), 384, v.linearShared>>>(one.bytes.data, one.scales.data, 8, wt.data, ws.data,
        nullptr, nullptr, 1, kBlocks, tiles, splits, out.data, 1, n, n, 1);
    std::vector<float> parts = out.read();
    for (int p = 0; p < splits; p++) {
      alone = alone && same_bits(parts.data() + static_cast<size_t>(p) * n,
                                 first.data() + (static_cast<size_t>(p) * capacity + rows - 1) * n, n);
    }
  }
  expect(alone, "  a row alone has the same bits");
}
