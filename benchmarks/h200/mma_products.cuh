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
// Products of the mma kernels: every form against float64 on odd shapes with poisoned memory around, bits over
// widths and batches, and the time of Kimi-K2's products.
#pragma once

#include "harness.cuh"
#include "mma/narrow.cuh"

#include <numeric>
#include <random>

namespace {
template <class S>
__global__ void __launch_bounds__(S::THREADS, 1) run(const __grid_constant__ ProductArgs args) {
  product<S>(args);
}

template <class F, int NT, int BANDS>
__global__ void __launch_bounds__(NARROW_THREADS, 1) run_narrow(const __grid_constant__ ProductArgs args) {
  narrow_product<F, NT, BANDS>(args);
}

/** A width of the kernel; narrow ones are for products that gate, or for the others. */
struct Variant {
  std::string name;
  void (*kernel)(const ProductArgs);
  int threads, band, tokens, stage_bytes, depth;
  bool narrow = false;
  bool gated = false;

  bool takes(bool grouped, bool gates, int inputs) const {
    return !narrow || (!grouped && gated == gates && inputs % 8 == 0);
  }
};

template <class S>
Variant variant(const char* name) {
  allow_shared(run<S>, 227 << 10);
  return {name, run<S>, S::THREADS, S::BAND, S::TOKENS, S::STAGE_BYTES, S::Form::DEPTH};
}

template <class F, int NT, int BANDS>
Variant narrow(const char* name) {
  allow_shared(run_narrow<F, NT, BANDS>, 227 << 10);
  return {name, run_narrow<F, NT, BANDS>, NARROW_THREADS, MMA_ROWS, 8 * NT, Narrow<F, NT, BANDS>::SHARED_BYTES, F::DEPTH,
          true, BANDS == 2};
}

template <class F>
std::vector<Variant> variants() {
  return {variant<Shape<F, 4, 1, 1>>("8"),  variant<Shape<F, 4, 1, 2>>("16"), variant<Shape<F, 4, 1, 4>>("32"),
          variant<Shape<F, 4, 1, 8>>("64"), narrow<F, 1, 1>("narrow 8"),      narrow<F, 4, 1>("narrow 32"),
          narrow<F, 1, 2>("narrow 8"),      narrow<F, 4, 2>("narrow 32")};
}

void launch(const Variant& v, ProductArgs args, int tiles) {
  int step = v.narrow || args.gated ? v.band : 2 * v.band;
  dim3 grid((args.columns + step - 1) / step, tiles);
  v.kernel<<<grid, v.threads, (v.narrow ? 1 : args.stages) * v.stage_bytes>>>(args);
}

enum Kind { BF16, FP8, INT4 };
const char* kinds[] = {"bf16", "fp8", "int4"};
const int bits[] = {16, 8, 4};

std::vector<Variant> variants(Kind kind) {
  return kind == BF16 ? variants<Bf16Form>() : kind == FP8 ? variants<Fp8Form>() : variants<Int4Form>();
}

// ---- against float64 -----------------------------------------------------------------------------

struct Case {
  Kind kind;
  int experts;  // 0: not grouped
  int rows, columns, depth;
  bool gated;
  int split, block_rows, group;
};

void check(const Case& c) {
  std::mt19937 random(c.depth * 31 + c.columns * 7 + c.rows + c.kind);
  auto real = [&] { return random() * (2.f / 4294967296.f) - 1.f; };
  int matrices = std::max(1, c.experts);
  int height = c.gated ? 2 * c.columns : c.columns;
  int blocks = (c.depth + 127) / 128;
  int groups = (c.depth + c.group - 1) / c.group;
  auto above = [&](int row) { return (row + c.block_rows - 1) / c.block_rows; };
  int scale_rows = above(c.split) + above(height - c.split);
  int64_t scales = c.kind == FP8 ? scale_rows * blocks : c.kind == INT4 ? height * groups : 0;

  // Rows of x lie in another order than their places, those no place takes are NaN.
  int all = c.rows + 5;
  std::vector<int> source(all);
  std::iota(source.begin(), source.end(), 0);
  if (c.experts) {
    std::shuffle(source.begin(), source.end(), random);
  }
  std::vector<uint16_t> x(static_cast<size_t>(all) * c.depth, 0x7fff);
  std::vector<float> xf(static_cast<size_t>(c.rows) * c.depth);
  for (int t = 0; t < c.rows; t++) {
    for (int k = 0; k < c.depth; k++) {
      uint16_t value = bf16_bits(real());
      x[static_cast<size_t>(source[t]) * c.depth + k] = value;
      xf[static_cast<size_t>(t) * c.depth + k] = bf16_value(value);
    }
  }
  size_t matrix_bytes = static_cast<size_t>(height) * c.depth * bits[c.kind] / 8;
  std::vector<uint8_t> w(matrices * matrix_bytes + 64, 0xff);
  std::vector<float> sc(matrices * scales + 1, NAN);
  for (int64_t i = 0; i < matrices * scales; i++) {
    sc[i] = 1.25f + 0.75f * real();
  }
  std::vector<float> wf(static_cast<size_t>(matrices) * height * c.depth);
  for (int e = 0; e < matrices; e++) {
    for (int r = 0; r < height; r++) {
      for (int k = 0; k < c.depth; k++) {
        size_t i = (static_cast<size_t>(e) * height + r) * c.depth + k;
        if (c.kind == BF16) {
          uint16_t value = bf16_bits(real());
          memcpy(&w[2 * i], &value, 2);
          wf[i] = bf16_value(value);
        } else if (c.kind == FP8) {
          uint8_t value = random() % 16 == 0 ? random() & 0x87 : random() & 0xbf;  // some are subnormal
          int row = r < c.split ? r / c.block_rows : above(c.split) + (r - c.split) / c.block_rows;
          w[i] = value;
          wf[i] = from_fp8(value) * sc[e * scales + row * blocks + k / 128];
        } else {
          int value = random() & 15;
          w[i / 2] = i % 2 ? (w[i / 2] & 15) | value << 4 : value;
          wf[i] = (value - 8) * sc[e * scales + static_cast<int64_t>(r) * groups + k / c.group];
        }
      }
    }
  }
  std::vector<int> first(matrices + 1, 0);
  for (int e = 0; e < matrices; e++) {
    first[e + 1] = e + 1 == matrices ? c.rows : e % 3 == 1 ? first[e] : std::min(c.rows, first[e] + c.rows / matrices + e);
  }
  std::vector<double> reference(static_cast<size_t>(c.rows) * c.columns);
  double norm = 0;
  for (int e = 0; e < matrices; e++) {
    int n = first[e + 1] - first[e];
    if (n == 0) {
      continue;
    }
    std::vector<float> a(xf.begin() + static_cast<size_t>(first[e]) * c.depth, xf.begin() + static_cast<size_t>(first[e + 1]) * c.depth);
    std::vector<float> b(wf.begin() + static_cast<size_t>(e) * height * c.depth, wf.begin() + static_cast<size_t>(e + 1) * height * c.depth);
    std::vector<double> p = product(a, b, n, height, c.depth);
    for (int t = 0; t < n; t++) {
      for (int i = 0; i < c.columns; i++) {
        double value = p[static_cast<size_t>(t) * height + i];
        if (c.gated) {
          value = value / (1 + std::exp(-value)) * p[static_cast<size_t>(t) * height + c.columns + i];
        }
        reference[static_cast<size_t>(first[e] + t) * c.columns + i] = value;
        norm += value * value;
      }
    }
  }

  Buffer<uint16_t> dx(x);
  Buffer<uint8_t> dw(w);
  Buffer<float> ds(sc);
  Buffer<int> dsource(source);
  std::vector<float> before;
  bool same = true;
  double worst = 0;
  bool guarded = true;
  for (const Variant& v : variants(c.kind)) {
    if (!v.takes(c.experts > 0, c.gated, c.depth)) {
      continue;
    }
    for (int stages = 2; stages <= (v.narrow ? 2 : 5); stages += v.tokens == 32 ? 1 : 3) {
      if (stages * v.stage_bytes > 227 << 10) {
        continue;
      }
      std::vector<int> expert, row, end;
      for (int e = 0; e < matrices; e++) {
        for (int at = first[e]; at < first[e + 1]; at += v.tokens) {
          expert.push_back(e);
          row.push_back(at);
          end.push_back(std::min(first[e + 1], at + v.tokens));
        }
      }
      expert.push_back(-1);
      row.push_back(1 << 30);
      end.push_back(1 << 30);
      Buffer<int> dexpert(expert), drow(row), dend(end);
      int stride = c.columns + (c.experts ? 0 : 3);
      size_t cells = static_cast<size_t>(c.rows + 2) * stride;
      Buffer<float> out(cells);
      ProductArgs args{};
      args.x = dx.data;
      args.w = dw.data;
      args.w_scales = ds.data;
      args.out = out.data;
      args.x_stride = c.depth;
      args.out_stride = stride;
      args.rows = c.rows;
      args.columns = c.columns;
      args.depth = c.depth;
      args.split = c.split;
      args.block_rows = c.block_rows;
      args.group = c.group;
      args.gated = args.narrow = c.gated;
      args.stages = stages;
      if (c.experts) {
        args.source = dsource.data;
        args.tile_expert = dexpert.data;
        args.tile_row = drow.data;
        args.tile_end = dend.data;
        args.expert_bytes = matrix_bytes;
        args.expert_scales = scales;
        args.rows = 0;
      }
      launch(v, args, c.experts ? expert.size() : (c.rows + v.tokens - 1) / v.tokens);
      CUDA(cudaDeviceSynchronize());
      std::vector<float> raw = out.read();
      std::vector<float> values(reference.size());
      for (size_t i = 0; i < cells; i++) {
        size_t t = i / stride;
        size_t column = i % stride;
        float value = c.gated ? bf16_value(reinterpret_cast<uint16_t*>(raw.data())[i]) : raw[i];
        if (t < static_cast<size_t>(c.rows) && column < static_cast<size_t>(c.columns)) {
          values[t * c.columns + column] = value;
        } else {
          guarded = guarded && std::isnan(value);
        }
      }
      if (before.empty()) {
        before = values;
      }
      same = same && same_bits(before.data(), values.data(), values.size());
      worst = std::max(worst, error(values, reference));
    }
  }
  double limit = c.gated ? 2.5e-3 : 2e-6;
  expect(worst < limit && same && guarded,
         "%s experts %d, %d x %d x %d%s, split %d, blocks of %d, group %d: error %.2e%s%s", kinds[c.kind], c.experts, c.rows,
         c.columns, c.depth, c.gated ? " gated" : "", c.split, c.block_rows, c.group, worst, same ? "" : ", WIDTHS DIFFER",
         guarded ? "" : ", WROTE BEYOND");
}

/** Rows in another number, at other places, have the bits they have alone. */
void check_batches(Kind kind) {
  int depth = 7168, columns = 300, most = 150;
  size_t bytes = static_cast<size_t>(columns) * depth * bits[kind] / 8;
  Buffer<uint16_t> x(static_cast<size_t>(most) * depth);
  Buffer<uint8_t> w(bytes);
  Buffer<float> scales(static_cast<size_t>(columns) * depth / 32);
  fill_bf16<<<264, 256>>>(reinterpret_cast<__nv_bfloat16*>(x.data), x.size, 1, 1.f);
  if (kind == BF16) {
    fill_bf16<<<264, 256>>>(reinterpret_cast<__nv_bfloat16*>(w.data), bytes / 2, 2, 1.f);
  } else {
    fill_fp8<<<264, 256>>>(w.data, bytes, 2);
  }
  fill_float<<<264, 256>>>(scales.data, scales.size, 3, 0.1f, 1.f);
  std::vector<float> alone(static_cast<size_t>(most) * columns);
  int differ = 0;
  for (const Variant& v : variants(kind)) {
    if (!v.takes(false, false, depth)) {
      continue;
    }
    for (int n : {1, 7, 64, 129, 150}) {
      for (int from = 0; from + n <= most; from += std::max(n, 40) - 3) {
        Buffer<float> out(static_cast<size_t>(n) * columns);
        ProductArgs args{};
        args.x = x.data + static_cast<size_t>(from) * depth;
        args.w = w.data;
        args.w_scales = scales.data;
        args.out = out.data;
        args.x_stride = depth;
        args.out_stride = columns;
        args.rows = n;
        args.columns = columns;
        args.depth = depth;
        args.split = columns;
        args.block_rows = 128;
        args.group = 32;
        args.stages = 3;
        launch(v, args, (n + v.tokens - 1) / v.tokens);
        std::vector<float> got = out.read();
        for (int i = 0; i < n * columns; i++) {
          float& known = alone[static_cast<size_t>(from) * columns + i];
          if (known == 0) {
            known = got[i];
          }
          differ += memcmp(&known, &got[i], 4) != 0;
        }
      }
    }
  }
  expect(differ == 0, "%s: %d of the numbers differ over batches, places and widths", kinds[kind], differ);
}

void checks() {
  for (Kind kind : {BF16, FP8, INT4}) {
    for (int depth : {8, 72, 128, 136, 296, 1032, 7168}) {
      for (int columns : {1, 40, 137, 300}) {
        int rows = (depth * 7 + columns) % 150 + 1;
        check({kind, 0, rows, columns, depth, false, columns, 128, 32});
        check({kind, 0, rows, columns, depth, true, columns, 128, 32});
      }
    }
    check({kind, 5, 120, 136, 296, true, 136, 16, 32});
    check({kind, 5, 300, 296, 136, false, 296, 16, 32});
    check({kind, 9, 40, 64, 512, true, 64, 128, 32});
    check({kind, 0, 33, 209, 520, false, 72, 128, 64});
    check({kind, 0, 9, 209, 520, false, 72, 48, 520});
    check_batches(kind);
  }
  // Rows of odd length.
  for (int depth : {1, 3, 17, 33, 131}) {
    check({BF16, 0, 67, 130, depth, false, 130, 128, 32});
    check({BF16, 3, 40, 33, depth, true, 33, 128, 32});
    check({FP8, 0, 67, 130, depth, false, 100, 128, 32});
    check({FP8, 3, 40, 33, depth, true, 33, 128, 32});
  }
}

// ---- times ---------------------------------------------------------------------------------------

double copy_rate() {
  size_t bytes = size_t{4} << 30;
  Buffer<char> a(bytes), b(bytes);
  double us = time_us([&](int) { CUDA(cudaMemcpyAsync(b.data, a.data, bytes, cudaMemcpyDeviceToDevice)); }, 5, 2);
  return 2 * bytes / us / 1e3;
}

struct Weights {
  Buffer<uint8_t> values;
  Buffer<float> scales;
  int64_t bytes, count;  // of one
  Weights(Kind kind, int matrices, int height, int depth)
      : values(static_cast<size_t>(matrices) * height * depth * bits[kind] / 8),
        scales(static_cast<size_t>(matrices) * (kind == INT4 ? height * (depth / 32) : ((height + 127) / 128) * (depth / 128))),
        bytes(static_cast<int64_t>(height) * depth * bits[kind] / 8),
        count(kind == INT4 ? height * (depth / 32) : kind == FP8 ? ((height + 127) / 128) * (depth / 128) : 0) {
    if (kind == BF16) {
      fill_bf16<<<2048, 256>>>(reinterpret_cast<__nv_bfloat16*>(values.data), values.size / 2, 2, 0.02f);
    } else {
      fill_fp8<<<2048, 256>>>(values.data, values.size, 2);
    }
    fill_float<<<2048, 256>>>(scales.data, scales.size, 3, 1e-5f, 1e-4f);
    CUDA(cudaDeviceSynchronize());
  }
  double total() const { return bytes + 4.0 * count; }
};

void time_experts(Kind kind, double rate) {
  const int experts = 384, top = 8, hidden = 7168, width = 2048;
  Weights up(kind, experts, 2 * width, hidden);
  Weights down(kind, experts, hidden, width);
  for (int tokens : {64, 256, 1024, 4096, 1}) {
    int pairs = tokens * top;
    std::mt19937 random(tokens);
    std::vector<std::vector<int>> rows(experts);
    for (int t = 0; t < tokens; t++) {
      std::vector<int> order(experts);
      std::iota(order.begin(), order.end(), 0);
      for (int k = 0; k < top; k++) {
        std::swap(order[k], order[k + random() % (experts - k)]);
        rows[order[k]].push_back(t);
      }
    }
    int hit = 0;
    std::vector<int> source, begin;
    for (auto& list : rows) {
      hit += !list.empty();
      begin.push_back(source.size());
      source.insert(source.end(), list.begin(), list.end());
    }
    Buffer<int> dsource(source);
    Buffer<uint16_t> x(static_cast<size_t>(tokens) * hidden), middle(static_cast<size_t>(pairs) * width);
    Buffer<float> out(static_cast<size_t>(pairs) * hidden);
    fill_bf16<<<264, 256>>>(reinterpret_cast<__nv_bfloat16*>(x.data), x.size, 1, 1.f);
    for (const Variant& v : variants(kind)) {
      if (v.narrow || (pairs > 40 * experts ? v.tokens < 32 : pairs < 3 * experts ? v.tokens > 32 : pairs < 15 * experts && v.tokens > 32)) {
        continue;
      }
      std::vector<int> expert, row, end;
      for (int e = 0; e < experts; e++) {
        int n = rows[e].size();
        for (int at = 0; at < n; at += v.tokens) {
          expert.push_back(e);
          row.push_back(begin[e] + at);
          end.push_back(begin[e] + std::min(n, at + v.tokens));
        }
      }
      Buffer<int> dexpert(expert), drow(row), dend(end);
      for (int stages : {2, 3, 4}) {
        if (stages * v.stage_bytes > 227 << 10) {
          continue;
        }
        ProductArgs args{};
        args.x = x.data;
        args.source = dsource.data;
        args.tile_expert = dexpert.data;
        args.tile_row = drow.data;
        args.tile_end = dend.data;
        args.block_rows = 128;
        args.group = 32;
        args.stages = stages;
        args.w = up.values.data;
        args.w_scales = up.scales.data;
        args.expert_bytes = up.bytes;
        args.expert_scales = up.count;
        args.out = middle.data;
        args.x_stride = hidden;
        args.out_stride = args.columns = args.split = width;
        args.depth = hidden;
        args.gated = args.narrow = 1;
        double first = time_us([&](int) { launch(v, args, expert.size()); }, 3, 2);
        args.x = middle.data;
        args.source = nullptr;
        args.w = down.values.data;
        args.w_scales = down.scales.data;
        args.expert_bytes = down.bytes;
        args.expert_scales = down.count;
        args.out = out.data;
        args.x_stride = args.depth = width;
        args.out_stride = args.columns = args.split = hidden;
        args.gated = args.narrow = 0;
        double second = time_us([&](int) { launch(v, args, expert.size()); }, 3, 2);
        double flops = 2.0 * pairs * hidden * width;
        std::printf("%s %5d tokens, %3d experts, width %-14s %d stages: gate_up %9.1f us %6.0f GB/s (%.2f) %5.0f TF; down %9.1f us %6.0f GB/s (%.2f) %5.0f TF; both %.0f TF\n",
                    kinds[kind], tokens, hit, v.name.c_str(), stages, first, hit * up.total() / first / 1e3,
                    hit * up.total() / first / 1e3 / rate, 2 * flops / first / 1e6, second, hit * down.total() / second / 1e3,
                    hit * down.total() / second / 1e3 / rate, flops / second / 1e6, 3 * flops / (first + second) / 1e6);
        std::fflush(stdout);
      }
    }
  }
}

void time_dense(Kind kind, double rate) {
  struct Matrix {
    const char* name;
    int columns, depth, copies;
    bool gated;
  };
  for (Matrix m : {Matrix{"qkv_a", 2112, 7168, 8, false}, {"q_b", 12288, 1536, 8, false}, {"o", 7168, 8192, 4, false},
                   {"shared gate_up", 2048, 7168, 8, true}, {"shared down", 7168, 2048, 8, false}, {"lm_head", 163840, 7168, 1, false}}) {
    if (kind != BF16 && m.columns == 163840) {
      continue;
    }
    int height = m.gated ? 2 * m.columns : m.columns;
    Weights w(kind, m.copies, height, m.depth);
    for (int n : {1, 8, 64, 256, 4096}) {
      if (m.columns == 163840 && n > 256) {
        continue;
      }
      Buffer<uint16_t> x(static_cast<size_t>(n) * m.depth);
      Buffer<float> out(static_cast<size_t>(n) * m.columns);
      fill_bf16<<<264, 256>>>(reinterpret_cast<__nv_bfloat16*>(x.data), x.size, 1, 1.f);
      for (const Variant& v : variants(kind)) {
        if (!v.takes(false, m.gated, m.depth) || (v.narrow && n > 64) || v.tokens / 8 > n || (n > 1000 && v.tokens < 64) || (n == 256 && v.tokens < 32)) {
          continue;
        }
        for (int stages : {3}) {
          ProductArgs args{};
          args.x = x.data;
          args.out = out.data;
          args.x_stride = args.depth = m.depth;
          args.out_stride = args.columns = args.split = m.columns;
          args.rows = n;
          args.block_rows = 128;
          args.group = 32;
          args.gated = args.narrow = m.gated;
          args.stages = stages;
          double us = time_us([&](int i) {
            args.w = w.values.data + i % m.copies * w.bytes;
            args.w_scales = w.scales.data + i % m.copies * w.count;
            launch(v, args, (n + v.tokens - 1) / v.tokens);
          }, 5, 8);
          std::printf("%s %-14s %4d tokens, width %-14s %d stages: %8.1f us %6.0f GB/s (%.2f) %5.0f TF\n", kinds[kind], m.name, n, v.name.c_str(), stages, us,
                      w.total() / us / 1e3, w.total() / us / 1e3 / rate, 2.0 * n * height * m.depth / us / 1e6);
          std::fflush(stdout);
        }
      }
    }
  }
}
}  // namespace
