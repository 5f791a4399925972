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
// Times on Kimi-K2's dimensions: 384 experts of 2048, hidden 7168, 8 a token.
#pragma once

#include "products.cuh"

/** Rate of a device-to-device copy, bytes read plus written, in GB/s. */
inline double copy_rate() {
  size_t bytes = size_t{4} << 30;
  Buffer<uint8_t> from(bytes), to(bytes);
  double us = time_us([&](int) { CUDA(cudaMemcpyAsync(to.data, from.data, bytes, cudaMemcpyDeviceToDevice)); }, 5, 2);
  return 2e-3 * bytes / us;
}

inline void report(const char* name, int rows, double us, double bytes, double operations, double copy) {
  std::printf("%-34s %6d  %9.1f us  %7.0f GB/s  %5.2f of copy  %7.1f TFLOP/s\n", name, rows, us,
              1e-3 * bytes / us, 1e-3 * bytes / us / copy, 1e-6 * operations / us);
  std::fflush(stdout);
}

inline void time_experts(double copy) {
  constexpr int experts = 384, hidden = 7168, intermediate = 2048, topK = 8;
  constexpr int kBlocks1 = hidden / 128, tiles1 = 2 * intermediate / 128, kBlocks2 = intermediate / 128,
                tiles2 = hidden / 128;
  Buffer<uint8_t> w1(size_t{experts} * tiles1 * kBlocks1 * 16384), w2(size_t{experts} * tiles2 * kBlocks2 * 16384);
  Buffer<float> s1(size_t{experts} * tiles1 * kBlocks1), s2(size_t{experts} * tiles2 * kBlocks2);
  fill_fp8<<<4096, 256>>>(w1.data, w1.size, 1);
  fill_fp8<<<4096, 256>>>(w2.data, w2.size, 2);
  fill_float<<<1024, 256>>>(s1.data, s1.size, 3, 1e-5f, 1e-4f);
  fill_float<<<1024, 256>>>(s2.data, s2.size, 4, 1e-5f, 1e-4f);
  int sms = multiprocessors();
  for (int tokens : {1, 64, 256, 1024, 2048, 8192, 16384}) {
    std::vector<int> choice;
    for (int t = 0; t < tokens; t++) {
      std::vector<int> mine;
      for (uint64_t i = 0; static_cast<int>(mine.size()) < topK; i++) {
        int e = static_cast<int>(uniform(991 + t * 100ull + i) * experts);
        if (std::find(mine.begin(), mine.end(), e) == mine.end()) {
          mine.push_back(e);
        }
      }
      choice.insert(choice.end(), mine.begin(), mine.end());
    }
    std::vector<int> hit(choice);
    std::sort(hit.begin(), hit.end());
    double experts_hit = std::unique(hit.begin(), hit.end()) - hit.begin();
    double slots = static_cast<double>(tokens) * topK;
    int blocks = (tokens + 127) / 128;
    int capacity = (tokens * topK + 7 * std::min(experts, tokens * topK) + 7) / 8 * 8;
    Fp8Panel a(tokens, (tokens + 7) / 8 * 8, hidden);
    {
      Buffer<float> x(static_cast<size_t>(tokens) * hidden);
      fill_float<<<1024, 256>>>(x.data, x.size, 5, 1.f, 0.f);
      quantise_rows<<<tokens, 256>>>(x.data, 1, hidden, tokens, hidden, a.bytes.data, a.scales.data, a.capacity);
      CUDA(cudaDeviceSynchronize());
    }
    Buffer<int> choices(choice), counts(static_cast<size_t>(blocks) * experts), tileCount(1);
    Buffer<float> weights(std::vector<float>(choice.size(), 0.125f)), slotWeight(choice.size());
    Buffer<int> slotToken(capacity), slot(choice.size());
    Fp8Panel in(capacity, capacity, hidden), mid(capacity, capacity, intermediate);
    Buffer<__nv_bfloat16> y(static_cast<size_t>(capacity) * hidden);
    Buffer<float> out(static_cast<size_t>(tokens) * hidden);
    for (const Variant& v : variants()) {
      double perExpert = slots / experts_hit;
      if (v.rows < perExpert / 4 || v.rows > perExpert * 16 + 16) {
        continue;
      }
      Buffer<RowTile> tiles(tokens * topK / v.rows + std::min(experts, tokens * topK));
      auto plan = [&](int) {
        moe_count<<<blocks, 256, experts * 16>>>(choices.data, tokens, topK, experts, counts.data);
        moe_scan<<<1, 1024>>>(counts.data, blocks, experts, v.rows, tiles.data, tileCount.data);
        moe_scatter<<<blocks, 256, experts * 16>>>(choices.data, weights.data, tokens, topK, experts, counts.data,
                                                   slotToken.data, slot.data, slotWeight.data);
      };
      auto gather = [&](int) {
        moe_gather<<<dim3(tokens, (kBlocks1 + 7) / 8), 256>>>(a.bytes.data, a.scales.data, a.capacity, slot.data,
                                                             topK, kBlocks1, in.bytes.data, in.scales.data, capacity);
      };
      auto gateUp = [&](int) {
        v.gateUp<<<sms, 384, v.gateUpShared>>>(in.bytes.data, in.scales.data, capacity, w1.data, s1.data, tiles.data,
            tileCount.data, 0, kBlocks1, tiles1, mid.bytes.data, mid.scales.data, capacity);
      };
      auto down = [&](int) {
        v.linear<<<sms, 384, v.linearShared>>>(mid.bytes.data, mid.scales.data, capacity, w2.data, s2.data, tiles.data,
            tileCount.data, 0, kBlocks2, tiles2, 1, y.data, 0, hidden, hidden, capacity);
      };
      auto combine = [&](int) {
        moe_combine<<<dim3(tokens, (hidden + 1023) / 1024), 256>>>(out.data, y.data, slot.data, slotWeight.data, topK,
                                                                  hidden);
      };
      char name[80];
      if (v.rows == 16 || tokens >= 8192) {
        report("experts: plan", tokens, time_us(plan), 0, 0, copy);
        report("experts: gather", tokens, time_us(gather), (tokens + slots) * hidden, 0, copy);
      } else {
        plan(0);
        gather(0);
      }
      std::snprintf(name, sizeof name, "experts: gate_up_%d", v.rows);
      report(name, tokens, time_us(gateUp, 7, 2),
             experts_hit * 2 * hidden * intermediate + slots * (hidden + intermediate), slots * 4.0 * hidden * intermediate, copy);
      std::snprintf(name, sizeof name, "experts: down, linear_%d", v.rows);
      report(name, tokens, time_us(down, 7, 2),
             experts_hit * hidden * intermediate + slots * (2 * hidden + intermediate), slots * 2.0 * hidden * intermediate, copy);
      if (v.rows == 16 || tokens >= 8192) {
        report("experts: combine", tokens, time_us(combine), slots * 2 * hidden + 8.0 * tokens * hidden, 0, copy);
      }
    }
  }
  // Plain products, the weights taken from the experts' in turn so that none is found in L2.
  struct Shape {
    const char* name;
    int n, k, splits, store;
  };
  for (Shape s : {Shape{"q_a, kv_a", 2112, 7168, 4, 1}, Shape{"q_b", 12288, 1536, 1, 0},
                  Shape{"o_proj", 7168, 8192, 1, 2}, Shape{"dense down", 7168, 18432, 1, 2}}) {
    int tiles = MoeProblem::even((s.n + 127) / 128), kBlocks = s.k / 128;
    size_t bytes = static_cast<size_t>(tiles) * kBlocks * 16384;
    int copies = static_cast<int>(std::min<size_t>(12, w1.size / bytes));
    for (int rows : {64, 256, 4096, 16384}) {
      Fp8Panel a(rows, rows, s.k);
      fill_fp8<<<1024, 256>>>(a.bytes.data, a.bytes.size, 9);
      fill_float<<<1024, 256>>>(a.scales.data, a.scales.size, 10, 1e-4f, 1e-3f);
      Buffer<float> out(static_cast<size_t>(s.splits) * rows * s.n);
      out.zero();
      for (const Variant& v : variants()) {
        if ((v.rows < 64 && rows >= 256) || (v.rows < 128 && rows >= 4096)) {
          continue;
        }
        char name[80];
        std::snprintf(name, sizeof name, "%s %dx%d, linear_%d", s.name, s.n, s.k, v.rows);
        double us = time_us([&](int i) {
          v.linear<<<sms, 384, v.linearShared>>>(a.bytes.data, a.scales.data, rows, w1.data + (i % copies) * bytes,
              s1.data + (i % copies) * (bytes / 16384), nullptr, nullptr, rows, kBlocks, tiles, s.splits, out.data,
              s.store, s.n, s.n, rows);
        });
        report(name, rows, us, 1.0 * s.n * s.k + 1.0 * rows * s.k + (s.store == 0 ? 2.0 : s.store == 1 ? 4.0 * s.splits : 8.0) * rows * s.n,
               2.0 * rows * s.n * s.k, copy);
      }
    }
  }
}

inline void time_all() {
  double copy = copy_rate();
  std::printf("device copy %.0f GB/s (read + written)\n", copy);
  time_experts(copy);
}
