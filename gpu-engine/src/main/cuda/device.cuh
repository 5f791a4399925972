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
// What kernels use of the device, and number formats. The same sources compile with a host compiler,
// which gives every thread of a block a fiber (emulation.h, among the tests): nothing below may be
// reached but through these names.
#pragma once

#include <stdint.h>

#ifdef MOONTIDE_EMULATION
#include "emulation.h"
#else

#define DEVICE __device__ __forceinline__
#define SHARED __shared__
// A kernel takes one struct, which its host writes field by field: eight-byte fields come first.
#define KERNEL(name, Args, threads) KERNEL_BLOCKS(name, Args, threads, 1)
// As many blocks of which are to fit a multiprocessor.
#define KERNEL_BLOCKS(name, Args, threads, blocks) \
  extern "C" __global__ void __launch_bounds__(threads, blocks) name(const __grid_constant__ Args args)

DEVICE int thread_index() { return threadIdx.x; }
DEVICE int block_x() { return blockIdx.x; }
DEVICE int block_y() { return blockIdx.y; }
DEVICE int block_z() { return blockIdx.z; }
DEVICE void sync_block() { __syncthreads(); }
DEVICE float shuffle_xor(float value, int lanes) {
  return __shfl_xor_sync(0xffffffffu, value, lanes);
}
DEVICE float fused(float a, float b, float c) { return __fmaf_rn(a, b, c); }
// Rounded once, never contracted into a fused operation.
DEVICE float product(float a, float b) { return __fmul_rn(a, b); }
DEVICE float sum(float a, float b) { return __fadd_rn(a, b); }
DEVICE float quotient(float a, float b) { return __fdiv_rn(a, b); }
DEVICE float root(float a) { return __fsqrt_rn(a); }
DEVICE float exponential(float x) { return expf(x); }
DEVICE double product(double a, double b) { return __dmul_rn(a, b); }
DEVICE double sum(double a, double b) { return __dadd_rn(a, b); }
DEVICE double quotient(double a, double b) { return __ddiv_rn(a, b); }
// The upper half of a product.
DEVICE uint64_t multiply_high(uint64_t a, uint64_t b) { return __umul64hi(a, b); }
// Adds to shared memory, whatever other threads add; what was there before.
DEVICE uint32_t add_shared(uint32_t* to, uint32_t value) { return atomicAdd(to, value); }
DEVICE uint32_t float_bits(float x) { return __float_as_uint(x); }
DEVICE float bits_float(uint32_t bits) { return __uint_as_float(bits); }
DEVICE float not_a_number() { return __uint_as_float(0x7fffffffu); }
DEVICE float infinity() { return __uint_as_float(0x7f800000u); }
// Dynamic shared memory, 16-byte aligned.
DEVICE char* dynamic_shared() {
  extern __shared__ uint4 moontide_dynamic[];
  return reinterpret_cast<char*>(moontide_dynamic);
}
#endif

static const int WARP = 32;

DEVICE int smaller(int a, int b) { return a < b ? a : b; }
DEVICE int larger(int a, int b) { return a > b ? a : b; }
DEVICE int ceil_div(int a, int b) { return (a + b - 1) / b; }

// bf16: the upper half of a float's bits, rounded to nearest, ties to even.
DEVICE float from_bf16(uint16_t x) { return bits_float((uint32_t)x << 16); }
DEVICE uint16_t to_bf16(float x) {
  uint32_t bits = float_bits(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) {
    return (uint16_t)(bits >> 16 | 0x40u);
  }
  return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

// FP8 E4M3 (arXiv 2209.05433): bias 7, no infinities, 0x7f and 0xff are NaN. Moved to the place of
// a float's exponent and mantissa the bits mean value / 2^120, subnormals included.
DEVICE float from_e4m3(uint8_t x) {
  uint32_t magnitude = x & 0x7fu;
  float value = product(bits_float(magnitude << 20), 0x1p120f);
  if (magnitude == 0x7fu) {
    value = not_a_number();
  }
  return (x & 0x80u) ? -value : value;
}
// To nearest, ties to even, at most 448; NaN stays NaN.
DEVICE uint8_t to_e4m3(float x) {
  uint32_t bits = float_bits(x);
  uint32_t sign = bits >> 24 & 0x80u;
  uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {
    return (uint8_t)(sign | 0x7fu);
  }
  if (magnitude >= 0x43e00000u) {  // 448
    return (uint8_t)(sign | 0x7eu);
  }
  if (magnitude < 0x3c800000u) {  // 2^-6: subnormal, counted in 2^-9. 2^14 + x keeps just those.
    float counted = sum(bits_float(magnitude), 0x1p14f);
    return (uint8_t)(sign | (float_bits(counted) - 0x46800000u));
  }
  uint32_t rounded = magnitude + 0x7ffffu + (magnitude >> 20 & 1u);
  return (uint8_t)(sign | ((rounded >> 20) - ((127u - 7u) << 3)));
}

// The sum of a warp's values, in every lane; a fixed tree.
DEVICE float warp_sum(float value) {
#pragma unroll
  for (int lanes = WARP / 2; lanes > 0; lanes /= 2) {
    value = sum(value, shuffle_xor(value, lanes));
  }
  return value;
}

// The largest of a warp's values, in every lane; NaN is passed over.
DEVICE float warp_max(float value) {
#pragma unroll
  for (int lanes = WARP / 2; lanes > 0; lanes /= 2) {
    value = fmaxf(value, shuffle_xor(value, lanes));
  }
  return value;
}

// The sum of a block's values, in every thread; a fixed tree. Scratch: a number a warp.
template <int THREADS>
DEVICE float block_sum(float value, float* scratch) {
  value = warp_sum(value);
  if (thread_index() % WARP == 0) {
    scratch[thread_index() / WARP] = value;
  }
  sync_block();
  float total = 0.0f;
#pragma unroll
  for (int w = 0; w < THREADS / WARP; w++) {
    total = sum(total, scratch[w]);
  }
  sync_block();
  return total;
}

// The largest of a block's values, in every thread; NaN is passed over.
template <int THREADS>
DEVICE float block_max(float value, float* scratch) {
  value = warp_max(value);
  if (thread_index() % WARP == 0) {
    scratch[thread_index() / WARP] = value;
  }
  sync_block();
  float most = scratch[0];
#pragma unroll
  for (int w = 1; w < THREADS / WARP; w++) {
    most = fmaxf(most, scratch[w]);
  }
  sync_block();
  return most;
}

// silu(gate) * up.
DEVICE float gated(float gate, float up) {
  return product(quotient(gate, sum(1.0f, exponential(-gate))), up);
}
