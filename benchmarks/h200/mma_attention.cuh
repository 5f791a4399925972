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
// Attention of the mma kernels: against float64, bits over batches, and its time.
#pragma once

#include "harness.cuh"
#include "mma/attention.cu"

#include <numeric>
#include <random>

namespace {
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
}  // namespace
