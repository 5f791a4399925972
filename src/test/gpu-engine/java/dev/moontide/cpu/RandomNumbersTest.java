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
package dev.moontide.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.cpu.vector.Bf16;
import dev.moontide.tensor.DType;
import java.nio.ByteBuffer;
import org.junit.jupiter.api.Test;

/** A check of kernels finds nothing on numbers whose sums are exact in any order. */
class RandomNumbersTest {
  private static final int N = 64;
  private static final int SUMS = 100;

  @Test
  void sumsOfProductsDependOnTheirOrder() {
    try (NativeMemory memory = new NativeMemory()) {
      long x = memory.allocate(2 * N, "numbers");
      long w = memory.allocate(2 * N, "numbers");
      int different = 0;
      for (int i = 0; i < SUMS; i++) {
        RandomNumbers.fill(x, 2 * N, DType.BF16, 2 * i);
        RandomNumbers.fill(w, 2 * N, DType.BF16, 2 * i + 1);
        different += sum(x, w, 0, 1) == sum(x, w, N - 1, -1) ? 0 : 1;
      }
      assertTrue(different > SUMS / 4, different + " of " + SUMS + " sums");
    }
  }

  /** So that a computed sum is what was rounded on the way. */
  @Test
  void cancellingRowsAddUpToNothing() {
    try (NativeMemory memory = new NativeMemory()) {
      int stride = N + 3;
      long x = memory.allocate(2L * 3 * stride, "numbers");
      long w = memory.allocate(2 * N, "numbers");
      RandomNumbers.fillCancelling(x, 3, stride, N - 1, DType.BF16);
      RandomNumbers.fillConstant(w, 2 * N, DType.BF16);
      ByteBuffer numbers = Address.view(x, 2L * 3 * stride);
      for (int row = 0; row < 3; row++) {
        double exact = 0;
        for (int i = 0; i < N - 1; i++) {
          exact += Bf16.toFloat(numbers.getShort(2 * (row * stride + i)));
        }
        assertEquals(0, exact);
      }
    }
  }

  private static float sum(long x, long w, int first, int step) {
    ByteBuffer left = Address.view(x, 2 * N);
    ByteBuffer right = Address.view(w, 2 * N);
    float sum = 0;
    for (int i = first; i >= 0 && i < N; i += step) {
      sum = Math.fma(Bf16.toFloat(left.getShort(2 * i)), Bf16.toFloat(right.getShort(2 * i)), sum);
    }
    return sum;
  }
}
