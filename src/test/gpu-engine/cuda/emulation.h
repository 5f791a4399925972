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
// device.cuh's names on the host: the kernels run as they are, each thread of a block a fiber, blocks
// one after the other.
//
// What this shows: indexing, shapes, layouts, barriers that not every thread reaches, arithmetic but
// for the last bits of exp and log, reads of dynamic shared memory nothing wrote. What it cannot
// show: races (fibers switch at barriers and shuffles alone), alignment faults, and registers, memory
// order and speed of a real device.
#pragma once

#include <math.h>
#include <string.h>

#define DEVICE __attribute__((always_inline)) inline
#define SHARED static
#define KERNEL(name, Args, threads)                                                      \
  static void name(const Args& args);                                                    \
  extern "C" void name##_kernel(const void* args) { name(*(const Args*)args); }          \
  extern "C" const int name##_threads = threads;                                         \
  static void name(const Args& args)

namespace emulation {
extern int thread, block[3];
char* dynamic_shared();
void sync_block();
float shuffle_xor(float value, int lanes);
}  // namespace emulation

DEVICE int thread_index() { return emulation::thread; }
DEVICE int block_x() { return emulation::block[0]; }
DEVICE int block_y() { return emulation::block[1]; }
DEVICE int block_z() { return emulation::block[2]; }
DEVICE void sync_block() { emulation::sync_block(); }
DEVICE float shuffle_xor(float value, int lanes) { return emulation::shuffle_xor(value, lanes); }
DEVICE char* dynamic_shared() { return emulation::dynamic_shared(); }
// Compiled with -ffp-contract=off, so each is rounded once.
DEVICE float fused(float a, float b, float c) { return fmaf(a, b, c); }
DEVICE float product(float a, float b) { return a * b; }
DEVICE float sum(float a, float b) { return a + b; }
DEVICE float quotient(float a, float b) { return a / b; }
DEVICE float root(float a) { return sqrtf(a); }
DEVICE float exponential(float x) { return expf(x); }
DEVICE double product(double a, double b) { return a * b; }
DEVICE double sum(double a, double b) { return a + b; }
DEVICE double quotient(double a, double b) { return a / b; }
DEVICE uint64_t multiply_high(uint64_t a, uint64_t b) {
  return (uint64_t)((unsigned __int128)a * b >> 64);
}
DEVICE uint32_t add_shared(uint32_t* to, uint32_t value) {
  uint32_t before = *to;
  *to = before + value;
  return before;
}
DEVICE uint32_t float_bits(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}
DEVICE float bits_float(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}
DEVICE float not_a_number() { return bits_float(0x7fffffffu); }
DEVICE float infinity() { return bits_float(0x7f800000u); }
