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
}
