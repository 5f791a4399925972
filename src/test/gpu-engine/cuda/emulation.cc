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

Fiber fibers[MAX_THREADS];
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
