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

#include "attention.cuh"

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
    Buffer<int> slot(choice.size());
    Fp8Panel in(capacity, capacity, hidden), mid(capacity, capacity, intermediate);
    Buffer<__nv_bfloat16> y(static_cast<size_t>(capacity) * hidden);
    Buffer<float> out(static_cast<size_t>(tokens) * hidden);
    for (const Variant& v : variants()) {
      double perExpert = slots / experts_hit;
      if (v.rows < perExpert / 4 || v.rows > perExpert * 16 + 16) {
        continue;
      }
      Buffer<RowGroup> tiles(tokens * topK / v.rows + std::min(experts, tokens * topK));
      auto plan = [&](int) {
        moe_count<<<blocks, 256, experts * 16>>>(choices.data, tokens, topK, experts, counts.data);
        moe_scan<<<1, 1024>>>(counts.data, blocks, experts, v.rows, tiles.data, tileCount.data);
        moe_scatter<<<blocks, 256, experts * 16>>>(choices.data, weights.data, tokens, topK, experts, counts.data,
                                                   slot.data, slotWeight.data);
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

/** Attention of `sequences` equal ones: their last `queries` tokens over `context` entries. */
inline void time_attention(const char* name, int sequences, int queries, int context, double copy) {
  int rows = sequences * queries, perSequence = (context + 63) / 64, sms = multiprocessors();
  Buffer<__nv_bfloat16> cache(static_cast<size_t>(sequences) * perSequence * moontide::kPageBytes / 2);
  Buffer<__nv_bfloat16> q(static_cast<size_t>(rows) * moontide::kPageBytes / 2);
  fill_bf16<<<4096, 256>>>(cache.data, cache.size, 1, 1.f);
  fill_bf16<<<4096, 256>>>(q.data, q.size, 2, 0.3f);
  std::vector<int> pages(static_cast<size_t>(sequences) * perSequence), start(rows), length(rows);
  double entries = 0, read = 0, pieces = 0;
  for (size_t i = 0; i < pages.size(); i++) {
    pages[i] = static_cast<int>(i);
  }
  for (int r = 0; r < rows; r++) {
    start[r] = r / queries * perSequence;
    length[r] = context - queries + r % queries + 1;
    entries += length[r];
    pieces += (length[r] + 1023) / 1024;
  }
  read = 1.0 * sequences * perSequence * moontide::kPageBytes + rows * (moontide::kPageBytes + 65536.0);
  int capacity = (rows + 7) / 8 * 8;
  Buffer<int> table(pages), starts(start), lengths(length), itemCount(1), firstItem(rows);
  Buffer<moontide::attention::Item> items(static_cast<size_t>(pieces));
  bool byPiece = rows < 4 * sms;
  Buffer<float> partial(byPiece ? static_cast<size_t>(pieces) * moontide::attention::kPartialFloats : 1),
      scratch(static_cast<size_t>(sms) * moontide::attention::kPartialFloats);
  Buffer<uint8_t> out(static_cast<size_t>(64) * 8 * capacity * 128);
  const uint8_t* qb = reinterpret_cast<uint8_t*>(q.data);
  const uint8_t* kb = reinterpret_cast<uint8_t*>(cache.data);
  double us = time_us([&](int) {
    if (byPiece) {
      attend_plan<<<1, 1024>>>(lengths.data, rows, items.data, itemCount.data, firstItem.data);
      attend<<<sms, 384, kAttendShared>>>(qb, kb, table.data, starts.data, lengths.data, rows, 64, 0.19f, items.data,
                                          itemCount.data, partial.data, nullptr, out.data, capacity);
      attend_merge<<<dim3(rows, 1), 256>>>(lengths.data, firstItem.data, rows, 64, partial.data, out.data, capacity);
    } else {
      attend<<<sms, 384, kAttendShared>>>(qb, kb, table.data, starts.data, lengths.data, rows, 64, 0.19f, nullptr, nullptr,
                                          nullptr, scratch.data, out.data, capacity);
    }
  }, 5, 2);
  report(name, rows, us, read, entries * 64 * 2 * (576 + 512), copy);
}

/** The naive form: expansion and attention of `sequences` whole prompts. */
inline void time_prompt(int sequences, int context, double copy) {
  using moontide::prompt::PromptTile;
  int rows = sequences * context, perSequence = (context + 63) / 64, sms = multiprocessors(), heads = 64;
  int pageCount = sequences * perSequence, kvRows = pageCount * 64;
  Buffer<__nv_bfloat16> cache(static_cast<size_t>(pageCount) * moontide::kPageBytes / 2), q(static_cast<size_t>(rows) * heads * 192),
      w(size_t{64} * 16 * 8192), kv(static_cast<size_t>(kvRows) * heads * 256);
  fill_bf16<<<4096, 256>>>(cache.data, cache.size, 1, 1.f);
  fill_bf16<<<4096, 256>>>(q.data, q.size, 2, 0.3f);
  fill_bf16<<<4096, 256>>>(w.data, w.size, 3, 0.05f);
  std::vector<int> pages(pageCount), length(rows);
  std::vector<PromptTile> tiles;
  double entries = 0;
  for (int i = 0; i < pageCount; i++) {
    pages[i] = i;
  }
  for (int s = 0; s < sequences; s++) {
    for (int r = 0; r < context; r++) {
      length[s * context + r] = r + 1;
      entries += r + 1;
    }
    for (int r = 0; r < context; r += 128) {
      int end = std::min(context, r + 128);
      tiles.push_back({s * context + r, s * context + r, s * context + end, s * perSequence, s * perSequence * 64, end});
    }
  }
  std::stable_sort(tiles.begin(), tiles.end(), [](const PromptTile& a, const PromptTile& b) { return a.entries > b.entries; });
  Buffer<int> table(pages), lengths(length);
  Buffer<PromptTile> tileBuffer(tiles);
  Fp8Panel out(rows, rows, heads * 128);
  char name[80];
  std::snprintf(name, sizeof name, "expand latents, %d x %d", sequences, context);
  report(name, rows, time_us([&](int) {
    expand_latent<<<sms, 384, kBf16Shared>>>(reinterpret_cast<uint8_t*>(cache.data), table.data, pageCount, reinterpret_cast<uint8_t*>(w.data),
        heads, reinterpret_cast<uint8_t*>(kv.data), kvRows);
  }, 5, 2), rows * (1024.0 + 32768), rows * 2.0 * 512 * heads * 256, copy);
  std::snprintf(name, sizeof name, "prompt attention, %d x %d", sequences, context);
  report(name, rows, time_us([&](int) {
    attend_prompt<<<sms, 384, kPromptShared>>>(reinterpret_cast<uint8_t*>(q.data), rows, reinterpret_cast<uint8_t*>(cache.data), table.data,
        reinterpret_cast<uint8_t*>(kv.data), kvRows, tileBuffer.data, static_cast<int>(tiles.size()), lengths.data, heads, 0.19f,
        out.bytes.data, out.scales.data, rows);
  }, 5, 2), rows * (heads * 192 * 2.0 + 8192 + 32768), entries * heads * 2 * (192 + 128), copy);
}

/** The bf16 products and the kernels between products. */
inline void time_rest(double copy) {
  int sms = multiprocessors();
  for (int rows : {256, 16384}) {
    int capacity = rows, heads = 64;
    Buffer<__nv_bfloat16> q(static_cast<size_t>(rows) * 12288), nope(static_cast<size_t>(rows) * 8192), w(size_t{64} * 16 * 8192),
        queries(static_cast<size_t>(rows) * moontide::kPageBytes / 2), latent(static_cast<size_t>(rows) * 32768);
    fill_bf16<<<1024, 256>>>(q.data, q.size, 1, 1.f);
    fill_bf16<<<1024, 256>>>(nope.data, nope.size, 2, 1.f);
    fill_bf16<<<1024, 256>>>(w.data, w.size, 3, 0.05f);
    fill_bf16<<<1024, 256>>>(latent.data, latent.size, 4, 1.f);
    std::vector<float2> turn(4096 * 32, float2{0.6f, 0.8f});
    std::vector<int> position(rows), slot(rows);
    for (int r = 0; r < rows; r++) {
      position[r] = r % 4096;
      slot[r] = r;
    }
    Buffer<float2> turns(turn);
    Buffer<int> positions(position), slots(slot);
    Fp8Panel values(rows, capacity, 8192), normed(rows, capacity, 7168);
    Buffer<float> x(static_cast<size_t>(rows) * 7168), parts(static_cast<size_t>(4) * rows * 2112), gain(std::vector<float>(7168, 1.f));
    fill_float<<<1024, 256>>>(x.data, x.size, 5, 1.f, 0.f);
    fill_float<<<1024, 256>>>(parts.data, parts.size, 6, 1.f, 0.f);
    Buffer<uint8_t> cache(static_cast<size_t>((rows + 63) / 64) * moontide::kPageBytes), high(size_t{2} * rows * 7168 * 2);
    uint8_t* images = reinterpret_cast<uint8_t*>(queries.data);
    report("norm 7168, FP8 and high, low", rows, time_us([&](int) {
      rms_norm<<<rows, 256, 7168 * 4>>>(x.data, 7168, nullptr, 0, 0, 0, 7168, gain.data, 1e-6f, nullptr, normed.bytes.data,
          normed.scales.data, high.data, high.data + size_t(rows) * 7168 * 2, capacity);
    }), rows * 7168.0 * 9, 0, copy);
    report("norm q_a 1536 of 4 parts", rows, time_us([&](int) {
      rms_norm<<<rows, 256, 1536 * 4>>>(nullptr, 0, parts.data, 4, rows * 2112ll, 2112, 1536, gain.data, 1e-6f, nullptr,
          normed.bytes.data, normed.scales.data, nullptr, nullptr, capacity);
    }), rows * 1536.0 * 17, 0, copy);
    report("append latent of 4 parts", rows, time_us([&](int) {
      append_latent<<<rows, 128>>>(parts.data, 4, rows * 2112ll, 2112, 1536, gain.data, 1e-6f, turns.data, positions.data, slots.data, cache.data);
    }), rows * 576.0 * 18, 0, copy);
    report("prepare queries", rows, time_us([&](int) {
      prepare_queries<<<rows, 256>>>(q.data, 12288, turns.data, positions.data, nullptr, heads, reinterpret_cast<uint8_t*>(nope.data), capacity, images);
    }), rows * 12288.0 * 4, 0, copy);
    report("query_absorb", rows, time_us([&](int) {
      query_absorb<<<sms, 384, kBf16Shared>>>(reinterpret_cast<uint8_t*>(nope.data), capacity, rows, reinterpret_cast<uint8_t*>(w.data), heads, images);
    }), rows * (16384.0 + 65536) + 8388608, rows * 64.0 * 2 * 512 * 128, copy);
    report("value_up", rows, time_us([&](int) {
      value_up<<<sms, 384, kValueUpShared>>>(reinterpret_cast<uint8_t*>(latent.data), capacity, rows, reinterpret_cast<uint8_t*>(w.data), heads,
          values.bytes.data, values.scales.data, capacity, nullptr);
    }), rows * (65536.0 + 8192) + 8388608, rows * 64.0 * 2 * 512 * 128, copy);
  }
  Buffer<__nv_bfloat16> head(size_t{163840} * 7168);
  fill_bf16<<<4096, 256>>>(head.data, head.size, 7, 0.05f);
  for (int rows : {16, 256}) {
    Buffer<__nv_bfloat16> a(static_cast<size_t>(rows) * 7168);
    fill_bf16<<<1024, 256>>>(a.data, a.size, 8, 1.f);
    Buffer<float> out(static_cast<size_t>(rows) * 163840);
    report("lm_head", rows, time_us([&](int) {
      linear_bf16<<<sms, 384, kBf16Shared>>>(reinterpret_cast<uint8_t*>(a.data), rows, rows, reinterpret_cast<uint8_t*>(head.data), 112, 112, 1280, 1,
          out.data, 1, 163840, 163840, rows);
    }, 5, 2), 163840.0 * 7168 * 2 + rows * 163840.0 * 4, rows * 2.0 * 163840 * 7168, copy);
  }
  for (int rows : {256, 16384}) {
    Buffer<__nv_bfloat16> a(static_cast<size_t>(rows) * 7168 * 2);
    fill_bf16<<<1024, 256>>>(a.data, a.size, 8, 1.f);
    Buffer<float> out(static_cast<size_t>(8) * rows * 384);
    report("router, high and low, 8 parts", rows, time_us([&](int) {
      linear_bf16<<<sms, 384, kBf16Shared>>>(reinterpret_cast<uint8_t*>(a.data), rows, rows, reinterpret_cast<uint8_t*>(head.data), 224, 112, 4, 8,
          out.data, 1, 384, 384, rows);
    }), 384.0 * 7168 * 2 + rows * (7168.0 * 4 + 8 * 384 * 4), rows * 4.0 * 384 * 7168, copy);
  }
}

inline void time_all() {
  double copy = copy_rate();
  std::printf("device copy %.0f GB/s (read + written)\n", copy);
  time_attention("decode attention, context 512", 256, 1, 512, copy);
  time_attention("decode attention, context 4096", 256, 1, 4096, copy);
  time_attention("decode attention, context 4096", 64, 1, 4096, copy);
  time_attention("decode attention, context 4096", 1, 1, 4096, copy);
  time_attention("prefill attention, 64 x 256", 64, 256, 256, copy);
  time_attention("prefill attention, 16 x 1024", 16, 1024, 1024, copy);
  time_attention("prefill attention, 8 x 2048", 8, 2048, 2048, copy);
  time_attention("prefill attention, 1 x 8192", 1, 8192, 8192, copy);
  time_prompt(64, 256, copy);
  time_prompt(16, 1024, copy);
  time_prompt(8, 2048, copy);
  time_prompt(1, 8192, copy);
  time_rest(copy);
  time_experts(copy);
}
