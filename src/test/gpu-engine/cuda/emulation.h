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

#define KERNEL_BLOCKS(name, Args, threads, blocks) KERNEL(name, Args, threads)

namespace emulation {
extern int thread, block[3];
char* dynamic_shared();
void sync_block();
float shuffle_xor(float value, int lanes);
void multiply(float* sums, const uint32_t* a, uint32_t b0, uint32_t b1, bool first);
void load_matrices(uint32_t* words, const void* row, bool transposed);
void check_aligned(const void* to, const void* from, int bytes);
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

// ---- mma/warp.cuh; asynchronous copies are done at once ------------------------------------------------

DEVICE void copy_16(void* to, const void* from, bool inside) {
  emulation::check_aligned(to, from, 16);
  inside ? (void)memcpy(to, from, 16) : (void)memset(to, 0, 16);
}
DEVICE void copy_4(void* to, const void* from, bool inside) {
  emulation::check_aligned(to, from, 4);
  inside ? (void)memcpy(to, from, 4) : (void)memset(to, 0, 4);
}
DEVICE void end_copies() {}
template <int LEFT>
DEVICE void await_copies() {}
DEVICE void multiply(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  emulation::multiply(sums, a, b0, b1, false);
}
DEVICE void multiply_first(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  emulation::multiply(sums, a, b0, b1, true);
}
DEVICE uint32_t rounded_half(float x) {
  uint32_t bits = float_bits(x);
  return x != x ? 0x7fffu : (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
}
DEVICE uint32_t fused_half(uint32_t a, uint32_t b, uint32_t c) {
  return rounded_half(fmaf(bits_float(a << 16), bits_float(b << 16), bits_float(c << 16)));
}
DEVICE uint32_t fused_pair(uint32_t a, uint32_t b, uint32_t c) {
  return fused_half(a >> 16, b >> 16, c >> 16) << 16 | fused_half(a & 0xffffu, b & 0xffffu, c & 0xffffu);
}
DEVICE float power_of_two(float x) { return exp2f(x); }
DEVICE uint32_t pair_of(float first, float second) {
  return rounded_half(second) << 16 | rounded_half(first);
}
DEVICE void load_transposed(uint32_t (&words)[4], const void* row) {
  emulation::check_aligned(row, row, 16);
  emulation::load_matrices(words, row, true);
}
DEVICE void load_matrices(uint32_t (&words)[4], const void* row) {
  emulation::check_aligned(row, row, 16);
  emulation::load_matrices(words, row, false);
}
DEVICE uint32_t select_bytes(uint32_t a, uint32_t b, uint32_t selector) {
  uint64_t both = (uint64_t)b << 32 | a;
  uint32_t bytes = 0;
  for (int i = 0; i < 4; i++) {
    uint32_t byte = (uint32_t)(both >> (selector >> 4 * i & 7u) * 8 & 0xffu);
    bool is_sign = selector >> 4 * i & 8u;
    bytes |= (is_sign ? (byte >= 0x80u ? 0xffu : 0u) : byte) << 8 * i;
  }
  return bytes;
}
DEVICE uint32_t masked_or(uint32_t a, uint32_t mask, uint32_t bits) { return (a & mask) | bits; }
