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
// The mma kernels of products (gpu-engine/src/main/cuda/mma) on a device: every form against float64 on odd
// shapes with poisoned memory around, bits over widths and batches, and the time of Kimi-K2's products.
//
// nvcc -std=c++17 -O3 -gencode=arch=compute_90a,code=sm_90a -I../../gpu-engine/src/main/cuda -o mma mma.cu
// ./mma [few|checks] [times]
#include "harness.cuh"
#include "mma/attention.cu"
#include "mma/product.cuh"

#include <numeric>
#include <random>

namespace {
template <class S>
__global__ void __launch_bounds__(S::THREADS, 1) run(const __grid_constant__ ProductArgs args) {
  product<S>(args);
}

/** A width of the kernel. */
struct Variant {
  std::string name;
  void (*kernel)(const ProductArgs);
  int threads, band, tokens, stage_bytes, depth;
};

template <class S>
Variant variant(const char* name) {
  allow_shared(run<S>, 227 << 10);
  return {name, run<S>, S::THREADS, S::BAND, S::TOKENS, S::STAGE_BYTES, S::Form::DEPTH};
}

template <class F>
std::vector<Variant> variants() {
  std::vector<Variant> list = {variant<Shape<F, 4, 1, 1>>("8"), variant<Shape<F, 4, 1, 4>>("32"),
                               variant<Shape<F, 4, 1, 8>>("64")};
  return list;
}

void launch(const Variant& v, ProductArgs args, int tiles) {
  int step = args.gated ? v.band : 2 * v.band;
  dim3 grid((args.columns + step - 1) / step, tiles);
  v.kernel<<<grid, v.threads, args.stages * v.stage_bytes>>>(args);
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

uint16_t bf16_bits(float x) { return __bfloat16_as_ushort(__float2bfloat16_rn(x)); }
float bf16_value(uint16_t x) { return __bfloat162float(__ushort_as_bfloat16(x)); }

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
    for (int stages = 2; stages <= 5; stages += v.tokens == 32 ? 1 : 3) {
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

// ---- attention -------------------------------------------------------------------------------------

/** Tokens of sequences, as a step lays them out. */
struct Tokens {
  std::vector<int> visible, prefix, sequence;
  std::vector<std::vector<int>> ancestors, tables;
  int block_size;

  std::vector<int> layout() const {
    int n = visible.size();
    std::vector<int> ints(10);
    ints[0] = n;
    auto add = [&](int at, const std::vector<int>& values) {
      ints[at] = ints.size();
      ints.insert(ints.end(), values.begin(), values.end());
    };
    std::vector<int> start = {0}, all, table(n), position(n);
    for (auto& list : ancestors) {
      all.insert(all.end(), list.begin(), list.end());
      start.push_back(all.size());
    }
    for (int t = 0; t < n; t++) {
      position[t] = visible[t] - 1;
    }
    add(3, position);
    add(5, prefix);
    add(6, start);
    add(7, all);
    std::vector<int> at;
    for (auto& list : tables) {
      at.push_back(ints.size());
      ints.insert(ints.end(), list.begin(), list.end());
    }
    for (int t = 0; t < n; t++) {
      table[t] = at[sequence[t]];
    }
    add(8, table);
    return ints;
  }
};

struct Attend {
  const char* name;
  void (*kernel)(const AttendArgs);
  int heads, threads;
};
const Attend attends[] = {{"16", mma_attend_16, 16, 128}, {"32", mma_attend_32, 32, 256}, {"64", mma_attend_64, 64, 512}};

int attend_bytes(int heads) { return heads * ROW_BYTES + 2 * heads * ENTRIES * 4 + 2 * TILE_BYTES; }

void launch(const Attend& a, AttendArgs args, int tokens) {
  allow_shared(a.kernel, attend_bytes(a.heads));
  a.kernel<<<dim3(tokens, (args.heads + a.heads - 1) / a.heads, args.splits), a.threads, attend_bytes(a.heads)>>>(args);
  if (args.splits > 1) {
    mma_combine_splits<<<dim3(tokens, args.heads), 256>>>(args);
  }
}

void check_attention(int heads, int block_size, const std::vector<int>& lengths) {
  std::mt19937 random(heads * 100 + block_size);
  Tokens tokens;
  tokens.block_size = block_size;
  int blocks = 1;
  for (int length : lengths) {
    blocks += (length + 9 + block_size - 1) / block_size;
  }
  std::vector<int> order(blocks);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), random);
  std::vector<uint16_t> cache(static_cast<size_t>(blocks) * block_size * WIDTH, 0x7fff);
  std::vector<std::vector<int>> rows;  // of the cache, that a token sees
  int next = 0;
  for (size_t s = 0; s < lengths.size(); s++) {
    int length = lengths[s];
    // The last few entries are a token's own branch, two apart.
    int branch = s % 2 && length > 3 ? 3 : 0;
    std::vector<int> table(order.begin() + next, order.begin() + next + (length + branch + block_size - 1) / block_size);
    next += table.size();
    tokens.visible.push_back(length);
    tokens.prefix.push_back(length - branch);
    std::vector<int> entries, path;
    for (int i = 0; i < length; i++) {
      int entry = i < length - branch ? i : length - branch + 2 * (i - length + branch);
      if (i >= length - branch) {
        path.push_back(entry);
      }
      entries.push_back(table[entry / block_size] * block_size + entry % block_size);
      for (int c = 0; c < WIDTH; c++) {
        cache[static_cast<size_t>(entries.back()) * WIDTH + c] = bf16_bits(normal(random()));
      }
    }
    tokens.ancestors.push_back(path);
    tokens.tables.push_back(table);
    tokens.sequence.push_back(s);
    rows.push_back(entries);
  }
  int n = lengths.size();
  float scale = 0.05f;
  std::vector<uint16_t> queries(static_cast<size_t>(n) * heads * WIDTH);
  for (auto& q : queries) {
    q = bf16_bits(normal(random()));
  }
  std::vector<double> reference(static_cast<size_t>(n) * heads * LATENT);
  for (int t = 0; t < n; t++) {
    for (int h = 0; h < heads; h++) {
      const uint16_t* q = &queries[(static_cast<size_t>(t) * heads + h) * WIDTH];
      std::vector<double> weight;
      double most = -1e300, total = 0;
      for (int row : rows[t]) {
        double dot = 0;
        for (int c = 0; c < WIDTH; c++) {
          dot += static_cast<double>(bf16_value(q[c])) * bf16_value(cache[static_cast<size_t>(row) * WIDTH + c]);
        }
        weight.push_back(dot * scale);
        most = std::max(most, weight.back());
      }
      for (double& w : weight) {
        w = std::exp(w - most);
        total += w;
      }
      double* to = &reference[(static_cast<size_t>(t) * heads + h) * LATENT];
      for (size_t i = 0; i < weight.size(); i++) {
        for (int c = 0; c < LATENT; c++) {
          to[c] += weight[i] / total * bf16_value(cache[static_cast<size_t>(rows[t][i]) * WIDTH + c]);
        }
      }
    }
  }
  Buffer<int> step(tokens.layout());
  Buffer<uint16_t> dcache(cache), dqueries(queries);
  int needed = 1;
  for (int length : lengths) {
    needed = std::max(needed, (length + SPLIT - 1) / SPLIT);
  }
  std::vector<uint16_t> before;
  bool same = true;
  double worst = 0;
  for (const Attend& a : attends) {
    for (int splits : {needed, 2 * needed + 1}) {
      for (bool alone : {false, true}) {
        Buffer<uint16_t> out(static_cast<size_t>(n) * heads * LATENT);
        Buffer<float> sums(static_cast<size_t>(n) * heads * splits * LATENT), extremes(static_cast<size_t>(n) * heads * splits * 2);
        AttendArgs args{out.data, sums.data, extremes.data, dqueries.data, dcache.data, step.data, 0, splits, heads, block_size, scale};
        if (!alone) {
          launch(a, args, n + 3);  // rows beyond the step's tokens do nothing
        }
        for (int t = 0; alone && t < n; t++) {
          args.first = t;
          args.out = out.data + static_cast<size_t>(t) * heads * LATENT;
          args.queries = dqueries.data + static_cast<size_t>(t) * heads * WIDTH;
          launch(a, args, 1);
        }
        CUDA(cudaDeviceSynchronize());
        std::vector<uint16_t> got = out.read();
        std::vector<float> values(got.size());
        std::transform(got.begin(), got.end(), values.begin(), bf16_value);
        worst = std::max(worst, error(values, reference));
        if (before.empty()) {
          before = got;
        }
        same = same && got == before;
      }
    }
  }
  expect(worst < 6e-3 && same, "attention of %d heads, blocks of %d, %d tokens: error %.2e%s", heads, block_size, n, worst,
         same ? "" : ", BITS DIFFER");
}

void time_attention(double rate) {
  for (int heads : {64, 16}) {
    for (auto shape : std::vector<std::pair<int, int>>{{64, 512}, {64, 1024}, {64, 4096}, {256, 1024}, {8, 8192}, {1, 8192}}) {
      int rows = shape.first;
      int length = shape.second;
      Tokens tokens;
      tokens.block_size = 16;
      int each = (length + 15) / 16;
      for (int t = 0; t < rows; t++) {
        tokens.visible.push_back(length);
        tokens.prefix.push_back(length);
        tokens.sequence.push_back(t);
        tokens.ancestors.emplace_back();
        tokens.tables.emplace_back();
        for (int i = 0; i < each; i++) {
          tokens.tables.back().push_back((t * each + i) * 7919 % (rows * each));
        }
      }
      Buffer<int> step(tokens.layout());
      Buffer<uint16_t> cache(static_cast<size_t>(rows) * each * 16 * WIDTH), queries(static_cast<size_t>(rows) * heads * WIDTH), out(static_cast<size_t>(rows) * heads * LATENT);
      fill_bf16<<<264, 256>>>(reinterpret_cast<__nv_bfloat16*>(cache.data), cache.size, 1, 1.f);
      fill_bf16<<<264, 256>>>(reinterpret_cast<__nv_bfloat16*>(queries.data), queries.size, 2, 1.f);
      int splits = (length + SPLIT - 1) / SPLIT;
      int range = std::min(rows, 512 / splits);
      Buffer<float> sums(static_cast<size_t>(512) * heads * LATENT), extremes(static_cast<size_t>(512) * heads * 2);
      for (const Attend& a : attends) {
        if (a.heads > heads) {
          continue;
        }
        double us = time_us([&](int) {
          for (int first = 0; first < rows; first += range) {
            AttendArgs args{out.data + static_cast<size_t>(first) * heads * LATENT, sums.data, extremes.data, queries.data + static_cast<size_t>(first) * heads * WIDTH, cache.data, step.data, first, splits, heads, 16, 0.05f};
            launch(a, args, std::min(range, rows - first));
          }
        }, 5, 4);
        double bytes = static_cast<double>(rows) * length * ROW_BYTES;
        double flops = 2.0 * rows * length * heads * (WIDTH + LATENT);
        std::printf("attention %d heads, %3d rows of %4d, %s heads a block: %8.1f us %6.0f GB/s (%.2f) %5.0f TF\n", heads, rows, length, a.name, us, bytes / us / 1e3, bytes / us / 1e3 / rate, flops / us / 1e6);
      }
    }
    int length = 4096;
    Tokens tokens;
    tokens.block_size = 16;
    tokens.tables.emplace_back();
    for (int i = 0; i < length / 16; i++) {
      tokens.tables.back().push_back(i * 7919 % (length / 16));
    }
    for (int t = 0; t < length; t++) {
      tokens.visible.push_back(t + 1);
      tokens.prefix.push_back(t + 1);
      tokens.sequence.push_back(0);
      tokens.ancestors.emplace_back();
    }
    Buffer<int> step(tokens.layout());
    Buffer<uint16_t> cache(static_cast<size_t>(length) * WIDTH), queries(static_cast<size_t>(512) * heads * WIDTH), out(static_cast<size_t>(512) * heads * LATENT);
    fill_bf16<<<264, 256>>>(reinterpret_cast<__nv_bfloat16*>(cache.data), cache.size, 1, 1.f);
    fill_bf16<<<264, 256>>>(reinterpret_cast<__nv_bfloat16*>(queries.data), queries.size, 2, 1.f);
    int splits = length / SPLIT;
    int range = 512 / splits;
    Buffer<float> sums(static_cast<size_t>(512) * heads * LATENT), extremes(static_cast<size_t>(512) * heads * 2);
    const Attend& a = attends[heads == 64 ? 2 : 0];
    double us = time_us([&](int) {
      for (int first = 0; first < length; first += range) {
        size_t row = first % 512;
        AttendArgs args{out.data + row * heads * LATENT, sums.data, extremes.data, queries.data + row * heads * WIDTH, cache.data, step.data, first, splits, heads, 16, 0.05f};
        launch(a, args, range);
      }
    }, 3, 1);
    double flops = 2.0 * heads * (WIDTH + LATENT) * length * (length + 1) / 2;
    std::printf("attention %d heads, a prompt of %d: %.1f us, %.0f TF\n", heads, length, us, flops / us / 1e6);
    std::fflush(stdout);
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
      if (pairs > 40 * experts ? v.tokens < 32 : pairs < 3 * experts ? v.tokens > 32 : pairs < 6 * experts && v.tokens > 64) {
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
        if (v.tokens / 8 > n || (n > 1000 && v.tokens < 64) || (n == 256 && v.tokens < 32)) {
          continue;
        }
        for (int stages : {3, 6}) {
          if (stages == 6 && (v.tokens > 16 || n > 64)) {
            continue;
          }
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
  if (has("times")) {
    double rate = copy_rate();
    std::printf("device copy %.0f GB/s\n", rate);
    time_attention(rate);
    for (Kind kind : {FP8, INT4, BF16}) {
      time_experts(kind, rate);
    }
    for (Kind kind : {FP8, BF16, INT4}) {
      time_dense(kind, rate);
    }
  }
  std::printf("%d failures\n", failures);
  return failures > 0;
}
