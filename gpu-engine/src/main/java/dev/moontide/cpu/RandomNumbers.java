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

import dev.moontide.tensor.DType;
import java.nio.ByteBuffer;
import java.util.SplittableRandom;

/**
 * Numbers in ±[2⁻⁷, 2) for checks and measurements. They differ in size, so that each addition of a
 * sum of their products rounds, in bf16 too: a sum in another order has other bits.
 */
final class RandomNumbers {
  /** Exponents of two there are: eight from −7 on. */
  private static final int EXPONENTS = 0x0380_0000;

  private static final int LOWEST_EXPONENT = 0x3C00_0000;

  /** They repeat with this period, a prime, so that no two rows of a matrix are alike. */
  private static final int PERIOD = 8191;

  private RandomNumbers() {}

  /** Fills {@code bytes} from {@code address}. */
  static void fill(long address, long bytes, DType type, int seed) {
    ByteBuffer buffer = Address.view(address, bytes);
    SplittableRandom random = new SplittableRandom(seed);
    byte[] pattern = new byte[PERIOD * type.bytes()];
    ByteBuffer view = ByteBuffer.wrap(pattern).order(buffer.order());
    for (int i = 0; i < PERIOD; i++) {
      int drawn = random.nextInt();
      int bits = (drawn & (0x807F_FFFF | EXPONENTS)) + LOWEST_EXPONENT;
      switch (type) {
        case BF16 -> view.putShort((short) (bits >>> 16));
        case F32 -> view.putInt(bits);
      }
    }
    while (buffer.hasRemaining()) {
      buffer.put(pattern, 0, Math.min(pattern.length, buffer.remaining()));
    }
  }

  /**
   * Fills rows of {@code n} numbers, {@code stride} apart, in each of which every number has its
   * negative somewhere, but for a last zero where {@code n} is odd.
   */
  static void fillCancelling(long address, int rows, int stride, int n, DType type) {
    long bytes = (long) rows * stride * type.bytes();
    fill(address, bytes, type, 5);
    ByteBuffer buffer = Address.view(address, bytes);
    SplittableRandom random = new SplittableRandom(6);
    int[] places = new int[n];
    for (int row = 0; row < rows; row++) {
      for (int i = 0; i < n; i++) {
        int other = random.nextInt(i + 1);
        places[i] = places[other];
        places[other] = i;
      }
      for (int i = 0; i < n; i += 2) {
        int at = (row * stride + places[i]) * type.bytes();
        int opposite = i + 1 < n ? (row * stride + places[i + 1]) * type.bytes() : at;
        switch (type) {
          case BF16 ->
              buffer.putShort(
                  opposite, opposite == at ? 0 : (short) (buffer.getShort(at) ^ 0x8000));
          case F32 -> buffer.putFloat(opposite, opposite == at ? 0f : -buffer.getFloat(at));
        }
      }
    }
  }

  /** Fills {@code bytes} with one number of many bits. */
  static void fillConstant(long address, long bytes, DType type) {
    ByteBuffer buffer = Address.view(address, bytes);
    while (buffer.hasRemaining()) {
      switch (type) {
        case BF16 -> buffer.putShort((short) 0x3FAB);
        case F32 -> buffer.putInt(0x3FAB_5A57);
      }
    }
  }
}
