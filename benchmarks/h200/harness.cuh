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
// What the checks and timings share: device buffers that start poisoned, random numbers, float64 references.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp8.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

inline uint16_t bf16_bits(float x) { return __bfloat16_as_ushort(__float2bfloat16_rn(x)); }
inline float bf16_value(uint16_t x) { return __bfloat162float(__ushort_as_bfloat16(x)); }

#define CUDA(call)                                                                              \
  do {                                                                                          \
    cudaError_t status = (call);                                                                \
    if (status != cudaSuccess) {                                                                \
      std::fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, cudaGetErrorString(status)); \
      std::exit(2);                                                                             \
    }                                                                                           \
  } while (0)

inline int failures = 0;

/** Prints and counts a check. */
inline void expect(bool ok, const char* format, ...) {
  char text[400];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  std::printf("%s %s\n", ok ? "ok  " : "FAIL", text);
  std::fflush(stdout);
  failures += !ok;
}

/** Device memory; every byte starts as 0xff, which is NaN in float32, bf16 and FP8. */
template <class T>
struct Buffer {
  T* data = nullptr;
  size_t size = 0;

  explicit Buffer(size_t n) : size(n) {
    CUDA(cudaMalloc(&data, std::max<size_t>(n, 1) * sizeof(T)));
    poison();
  }
  explicit Buffer(const std::vector<T>& from) : Buffer(from.size()) { write(from); }
  Buffer(const Buffer&) = delete;
  ~Buffer() { cudaFree(data); }

  void poison() { CUDA(cudaMemset(data, 0xff, size * sizeof(T))); }
  void zero() { CUDA(cudaMemset(data, 0, size * sizeof(T))); }
  void write(const std::vector<T>& from) {
    CUDA(cudaMemcpy(data, from.data(), from.size() * sizeof(T), cudaMemcpyHostToDevice));
  }
  std::vector<T> read() const {
    std::vector<T> to(size);
    CUDA(cudaMemcpy(to.data(), data, size * sizeof(T), cudaMemcpyDeviceToHost));
    return to;
  }
};

/** A number in [0, 1) from a counter. */
__host__ __device__ inline float uniform(uint64_t i) {
  i = (i + 0x9e3779b97f4a7c15ull) * 0xbf58476d1ce4e5b9ull;
  i = (i ^ (i >> 30)) * 0x94d049bb133111ebull;
  i ^= i >> 31;
  return static_cast<float>(i >> 40) * (1.f / 16777216.f);
}

/** Mean 0, variance 1, nearly normal. */
__host__ __device__ inline float normal(uint64_t i) {
  float sum = uniform(4 * i) + uniform(4 * i + 1) + uniform(4 * i + 2) + uniform(4 * i + 3);
  return (sum - 2.f) * 1.7320508f;
}

__global__ void fill_fp8(uint8_t* to, size_t n, uint64_t seed) {
  for (size_t i = blockIdx.x * size_t{256} + threadIdx.x; i < n; i += size_t{gridDim.x} * 256) {
    to[i] = __nv_cvt_float_to_fp8(60.f * normal(seed + i), __NV_SATFINITE, __NV_E4M3);
  }
}

__global__ void fill_bf16(__nv_bfloat16* to, size_t n, uint64_t seed, float scale) {
  for (size_t i = blockIdx.x * size_t{256} + threadIdx.x; i < n; i += size_t{gridDim.x} * 256) {
    to[i] = __float2bfloat16_rn(scale * normal(seed + i));
  }
}

__global__ void fill_float(float* to, size_t n, uint64_t seed, float scale, float offset) {
  for (size_t i = blockIdx.x * size_t{256} + threadIdx.x; i < n; i += size_t{gridDim.x} * 256) {
    to[i] = offset + scale * normal(seed + i);
  }
}

/** out[m][n] = Σ_k a[m][k] · b[n][k] in float64; operands already dequantised. */
__global__ void reference_product(
    const float* a, const float* b, double* out, int m, int n, int k, int64_t lda, int64_t ldb) {
  int column = blockIdx.x * 16 + threadIdx.x;
  int row = blockIdx.y * 16 + threadIdx.y;
  if (row < m && column < n) {
    double sum = 0;
    for (int i = 0; i < k; i++) {
      sum += static_cast<double>(a[row * lda + i]) * b[column * ldb + i];
    }
    out[static_cast<int64_t>(row) * n + column] = sum;
  }
}

inline std::vector<double> product(
    const std::vector<float>& a, const std::vector<float>& b, int m, int n, int k) {
  Buffer<float> left(a);
  Buffer<float> right(b);
  Buffer<double> out(static_cast<size_t>(m) * n);
  reference_product<<<dim3((n + 15) / 16, (m + 15) / 16), dim3(16, 16)>>>(
      left.data, right.data, out.data, m, n, k, k, k);
  CUDA(cudaGetLastError());
  return out.read();
}

inline float from_fp8(uint8_t byte) {
  __nv_fp8_e4m3 q;
  q.__x = byte;
  return static_cast<float>(q);
}

/** ‖out − reference‖ / ‖reference‖; infinite when anything is not finite. */
template <class A, class B>
double error(const std::vector<A>& out, const std::vector<B>& reference) {
  double difference = 0;
  double norm = 0;
  for (size_t i = 0; i < reference.size(); i++) {
    double o = static_cast<double>(out[i]);
    double r = static_cast<double>(reference[i]);
    if (!std::isfinite(o)) {
      return INFINITY;
    }
    difference += (o - r) * (o - r);
    norm += r * r;
  }
  return std::sqrt(difference / std::max(norm, 1e-300));
}

template <class T>
bool same_bits(const T* a, const T* b, size_t n) {
  return std::memcmp(a, b, n * sizeof(T)) == 0;
}

/** Lets a kernel use more than 48 KB of dynamic shared memory. */
template <class Kernel>
void allow_shared(Kernel kernel, int bytes) {
  CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
}

inline int multiprocessors() {
  int n;
  CUDA(cudaDeviceGetAttribute(&n, cudaDevAttrMultiProcessorCount, 0));
  return n;
}

/** Median time of one call in microseconds: `batch` calls between two events, `repeats` times. */
inline double time_us(const std::function<void(int)>& call, int repeats = 9, int batch = 4) {
  cudaEvent_t start, stop;
  CUDA(cudaEventCreate(&start));
  CUDA(cudaEventCreate(&stop));
  std::vector<double> times;
  int index = 0;
  for (int r = -1; r < repeats; r++) {
    CUDA(cudaEventRecord(start));
    for (int i = 0; i < batch; i++) {
      call(index++);
    }
    CUDA(cudaEventRecord(stop));
    CUDA(cudaEventSynchronize(stop));
    CUDA(cudaGetLastError());
    float ms;
    CUDA(cudaEventElapsedTime(&ms, start, stop));
    if (r >= 0) {
      times.push_back(1e3 * ms / batch);
    }
  }
  cudaEventDestroy(start);
  cudaEventDestroy(stop);
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}
