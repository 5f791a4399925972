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

/** Numbers in ±[0.5, 2) for checks and measurements. */
final class RandomNumbers {
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
      int bits = (random.nextInt() & 0x80FF_FFFF) | 0x3F00_0000;
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
