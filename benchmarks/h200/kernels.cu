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
// The Hopper kernels against float64 on odd shapes with poisoned memory, their bits across tiles, positions and
// batch sizes, and their times on Kimi-K2's dimensions against the card's copy rate of the same run.
//
//   nvcc -std=c++17 -O3 -gencode=arch=compute_90a,code=sm_90a -o kernels benchmarks/h200/kernels.cu
//   ./kernels [--host-only | --check | --time]
#include "attention.cuh"
#include "timings.cuh"

/** What holds of the layouts without a device. */
void check_layouts() {
  using namespace moontide;
  bool ok = true;
  for (int rows : {8, 24, 200}) {
    std::vector<int> seen(static_cast<size_t>(3) * rows * kRowBytes, 0);
    for (int row = 0; row < rows; row++) {
      for (int byte = 0; byte < 3 * kRowBytes; byte++) {
        int64_t at = panel_offset(row, byte, rows);
        seen[at]++;
        // Eight rows of a K block are one piece, and the image depends on the row within them alone.
        int64_t piece = (static_cast<int64_t>(byte / kRowBytes) * rows + row / 8 * 8) * kRowBytes;
        ok = ok && at - piece == image_offset(row % 8, byte % kRowBytes);
      }
    }
    ok = ok && std::all_of(seen.begin(), seen.end(), [](int n) { return n == 1; });
  }
  expect(ok, "panels: every byte once, eight rows of a K block in one piece");
  std::vector<int> seen(static_cast<size_t>(2) * 3 * kTileBytes, 0);
  for (int row = 0; row < 256; row++) {
    for (int byte = 0; byte < 3 * kRowBytes; byte++) {
      seen[weight_offset(row, byte, 3)]++;
    }
  }
  ok = std::all_of(seen.begin(), seen.end(), [](int n) { return n == 1; });
  ok = ok && weight_offset(0, 128, 3) == kTileBytes && weight_offset(128, 0, 3) == 3 * kTileBytes;
  expect(ok, "weights: every byte once, tiles by row tile then K block");
  std::vector<int> page(kPageBytes / 2, 0);
  for (int row = 0; row < 64; row++) {
    for (int column = 0; column < 576; column++) {
      page[page_offset(row, column) / 2]++;
    }
  }
  expect(std::all_of(page.begin(), page.end(), [](int n) { return n == 1; }), "pages: every number once");
}

/** Every (expert, row tile, feature tile, piece of K) comes once, whole, whatever the shape. */
void check_schedule() {
  using namespace moontide;
  bool ok = true;
  for (int tileRows : {16, 32, 64, 128}) {
    for (int trial = 0; trial < 20; trial++) {
      int features = 1 + trial % 7, splits = 1 + trial % 3, kBlocks = 3 + trial;
      std::vector<RowGroup> tiles;
      std::vector<int> rowsOf;
      int row = 0;
      for (int e = 0; e < 9; e++) {
        int rows = static_cast<int>(400 * uniform(trial * 100 + e)) * (uniform(trial * 77 + e) < 0.7f);
        int first = static_cast<int>(tiles.size());
        rowsOf.push_back(rows);
        for (int i = 0; i < rows; i += tileRows) {
          tiles.push_back({e, row, rows, first});
        }
        row += (rows + 7) / 8 * 8;
      }
      for (bool grouped : {true, false}) {
        int rows = 1 + trial * 131;
        int count = grouped ? static_cast<int>(tiles.size()) : (rows + tileRows - 1) / tileRows;
        fp8::Schedule schedule = {grouped ? tiles.data() : nullptr, count, rows, tileRows, features, splits, kBlocks};
        int capacity = grouped ? row : rows;
        std::vector<int> seen(static_cast<size_t>(capacity) * features * kBlocks, 0);
        for (int i = 0; i < schedule.count(); i++) {
          fp8::Work work = schedule.at(i);
          ok = ok && work.rows > 0 && work.rows <= tileRows && work.row % 8 == 0 && (!grouped || rowsOf[work.expert] > 0);
          for (int r = work.row; r < work.row + work.rows; r++) {
            for (int k = work.kBegin; k < work.kEnd; k++) {
              seen[(static_cast<size_t>(r) * features + work.feature) * kBlocks + k]++;
            }
          }
        }
        size_t want = 0;
        for (int n : rowsOf) {
          want += grouped ? n : 0;
        }
        want = (grouped ? want : rows) * features * kBlocks;
        ok = ok && std::count(seen.begin(), seen.end(), 1) == static_cast<long>(want) &&
             std::count(seen.begin(), seen.end(), 0) == static_cast<long>(seen.size() - want);
      }
    }
  }
  expect(ok, "schedule: every row, feature tile and K block once");
}

int main(int count, char** arguments) {
  std::string mode = count > 1 ? arguments[1] : "";
  check_layouts();
  check_schedule();
  if (mode == "--host-only") {
    return failures > 0;
  }
  cudaDeviceProp device;
  CUDA(cudaGetDeviceProperties(&device, 0));
  std::printf("%s, %d multiprocessors, L2 %d MB\n", device.name, device.multiProcessorCount,
              device.l2CacheSize >> 20);
  allow_attention();
  if (mode != "--time") {
    check_linear(7, 72, 1, 1, 1);
    check_linear(258, 200, 70, 2, 2);
    check_linear(2112, 7168, 33, 4, 3);
    check_linear(512, 1536, 300, 1, 4);
    check_experts(7, 200, 136, 3, 1, 5);
    check_experts(7, 200, 136, 3, 700, 6);
    check_experts(5, 512, 256, 2, 130, 7);
    check_experts(3, 384, 384, 2, 300, 9);
    check_experts(4, 7168, 512, 2, 64, 8);
    check_dense_gate_up(200, 136, 40, 27);
    check_dense_gate_up(384, 300, 150, 28);
    check_dense_gate_up(256, 256, 200, 29);
    check_bf16(7, 72, 1, 1, false, 11);
    check_bf16(1000, 200, 130, 1, false, 12);
    check_bf16(384, 7168, 70, 8, true, 13);
    check_rows(1, 72, 1, 14);
    check_rows(37, 1536, 4, 15);
    check_rows(5, 7168, 2, 16);
    check_heads(1, 64, 17);
    check_heads(131, 5, 18);
    check_heads(9, 100, 19);
    check_attention({1}, 64, 20);
    check_attention({1, 63, 64, 65, 127, 128, 129, 192, 193, 700}, 64, 21);
    check_attention({1023, 1024, 1025, 1, 2500, 3100, 40}, 64, 22);
    check_attention({300, 1100}, 5, 23);
    check_attention({300, 1100, 17}, 100, 24);
    check_prompt({5, 70, 130, 300}, 3, 25);
    check_prompt({1030, 257}, 4, 26);
  }
  if (mode != "--check") {
    time_all();
  }
  std::printf("%d failures\n", failures);
  return failures > 0;
}
