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
// Runs a kernel's blocks one after the other, each thread a fiber (x86-64, System V).
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <vector>

#include "emulation.h"

namespace {
const int MAX_THREADS = 1024;
const int WARP = 32;
const size_t STACK_BYTES = 64 << 10;

struct Barrier {
  int members;
  int arrived;
  unsigned generation;
};

struct Fiber {
  void* stack_pointer;
  char* stack;
  bool done;
};

// Of a tensor core, a lane's: pairs of a at (g, 2t), (g + 8, 2t), (g, 2t + 8), (g + 8, 2t + 8), of b
// at (2t, g), (2t + 8, g), of this call and the one before.
struct Operands {
  float a[2][8];
  float b[2][4];
  const uint16_t* row[2];  // of load_matrices
  int turn;
};

Fiber fibers[MAX_THREADS];
Operands operands[MAX_THREADS];
void* scheduler_stack_pointer;
Barrier block_barrier;
Barrier warp_barriers[MAX_THREADS / WARP];
float exchanged[MAX_THREADS];
std::vector<char> shared_bytes;
void (*running)(const void*);
const void* arguments;
unsigned long progress;

extern "C" void moontide_switch(void** save, void* to);
asm(R"(
.text
.type moontide_switch, @function
moontide_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
)");

void yield_fiber() {
  int self = emulation::thread;
  moontide_switch(&fibers[self].stack_pointer, scheduler_stack_pointer);
}

void release_if_complete(Barrier& barrier) {
  if (barrier.members > 0 && barrier.arrived == barrier.members) {
    barrier.arrived = 0;
    barrier.generation++;
    progress++;
  }
}

void wait(Barrier& barrier) {
  unsigned generation = barrier.generation;
  barrier.arrived++;
  release_if_complete(barrier);
  while (barrier.generation == generation) {
    yield_fiber();
  }
}

void run_fiber() {
  running(arguments);
  int self = emulation::thread;
  fibers[self].done = true;
  progress++;
  // A thread that has returned is no longer waited for.
  block_barrier.members--;
  release_if_complete(block_barrier);
  Barrier& warp = warp_barriers[self / WARP];
  warp.members--;
  release_if_complete(warp);
  yield_fiber();
  abort();
}

void prepare(Fiber& fiber) {
  if (!fiber.stack) {
    fiber.stack = (char*)aligned_alloc(64, STACK_BYTES);
  }
  uintptr_t top = (uintptr_t)fiber.stack + STACK_BYTES;
  void** frame = (void**)(top - 16);
  frame[0] = (void*)run_fiber;  // where the first switch returns to
  frame[1] = nullptr;
  fiber.stack_pointer = frame - 6;
  for (int i = 1; i <= 6; i++) {
    frame[-i] = nullptr;
  }
  fiber.done = false;
}

void run_block(const char* name, int threads) {
  // A member count per block and warp; poison where the kernel must write before it reads.
  memset(shared_bytes.data(), 0xff, shared_bytes.size());
  block_barrier = Barrier{threads, 0, 0};
  for (int w = 0; w * WARP < threads; w++) {
    warp_barriers[w] = Barrier{threads - w * WARP < WARP ? threads - w * WARP : WARP, 0, 0};
  }
  for (int t = 0; t < threads; t++) {
    prepare(fibers[t]);
  }
  int left = threads;
  while (left > 0) {
    unsigned long before = progress;
    for (int t = 0; t < threads; t++) {
      if (!fibers[t].done) {
        emulation::thread = t;
        moontide_switch(&scheduler_stack_pointer, fibers[t].stack_pointer);
        left -= fibers[t].done ? 1 : 0;
      }
    }
    if (progress == before) {
      fprintf(stderr, "kernel %s, block (%d, %d, %d): a barrier is not reached by every thread\n",
              name, emulation::block[0], emulation::block[1], emulation::block[2]);
      abort();
    }
  }
}
}  // namespace

namespace emulation {
int thread;
int block[3];

char* dynamic_shared() { return shared_bytes.data(); }
void sync_block() { wait(block_barrier); }
float shuffle_xor(float value, int lanes) {
  int self = thread;
  Barrier& warp = warp_barriers[self / WARP];
  exchanged[self] = value;
  wait(warp);
  float other = exchanged[self ^ lanes];
  wait(warp);
  return other;
}

void check_aligned(const void* to, const void* from, int bytes) {
  if (((uintptr_t)to | (uintptr_t)from) % bytes != 0) {
    fprintf(stderr, "a copy of %d bytes is not aligned\n", bytes);
    abort();
  }
}

// A warp's product of 16 x 16 by 16 x 8 (mma/warp.cuh): lanes leave their operands to each other and
// meet once; the next call's go elsewhere, for the slower of them still read these.
void multiply(float* sums, const uint32_t* a, uint32_t b0, uint32_t b1, bool first) {
  int self = thread;
  Operands& own = operands[self];
  own.turn ^= 1;
  float* row = own.a[own.turn];
  for (int i = 0; i < 4; i++) {
    row[2 * i] = bits_float(a[i] << 16);
    row[2 * i + 1] = bits_float(a[i] & 0xffff0000u);
  }
  float* column = own.b[own.turn];
  column[0] = bits_float(b0 << 16);
  column[1] = bits_float(b0 & 0xffff0000u);
  column[2] = bits_float(b1 << 16);
  column[3] = bits_float(b1 & 0xffff0000u);
  wait(warp_barriers[self / WARP]);
  const Operands* lanes = operands + self / WARP * WARP;
  int g = self % WARP / 4;
  int t = self % 4;
  for (int e = 0; e < 4; e++) {
    double total = first ? 0.0 : sums[e];
    for (int i = 0; i < 4; i++) {
      const float* x = lanes[4 * g + i].a[own.turn] + e / 2 * 2;
      const float* y = lanes[4 * (2 * t + e % 2) + i].b[own.turn];
      total += (double)x[0] * y[0] + (double)x[1] * y[1] + (double)x[4] * y[2] + (double)x[5] * y[3];
    }
    sums[e] = (float)total;
  }
}

void load_matrices(uint32_t* words, const void* row, bool transposed) {
  int self = thread;
  Operands& own = operands[self];
  own.turn ^= 1;
  own.row[own.turn] = (const uint16_t*)row;
  wait(warp_barriers[self / WARP]);
  const Operands* lanes = operands + self / WARP * WARP;
  int g = self % WARP / 4;
  int t = self % 4;
  for (int i = 0; i < 4; i++) {
    words[i] = transposed ? (uint32_t)lanes[8 * i + 2 * t + 1].row[own.turn][g] << 16 |
                                lanes[8 * i + 2 * t].row[own.turn][g]
                          : (uint32_t)lanes[8 * i + g].row[own.turn][2 * t + 1] << 16 |
                                lanes[8 * i + g].row[own.turn][2 * t];
  }
}
}  // namespace emulation

// Runs a grid; the caller holds the driver's lock.
extern "C" void moontide_emulate(const char* name, void (*kernel)(const void*), const int* grid,
                                 int threads, size_t dynamic_bytes, const void* args) {
  running = kernel;
  arguments = args;
  shared_bytes.resize(dynamic_bytes + 64);
  for (int z = 0; z < grid[2]; z++) {
    for (int y = 0; y < grid[1]; y++) {
      for (int x = 0; x < grid[0]; x++) {
        emulation::block[0] = x;
        emulation::block[1] = y;
        emulation::block[2] = z;
        run_block(name, threads);
      }
    }
  }
}
