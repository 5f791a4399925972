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
package dev.moontide.sampling;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.api.Test;

class PhiloxTest {
  /** Random123's kat_vectors, philox4x32 with 10 rounds: counter, key, result. */
  @Test
  void knownAnswers() {
    check(
        new int[] {0, 0, 0, 0},
        new int[] {0, 0},
        new int[] {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
    check(
        new int[] {-1, -1, -1, -1},
        new int[] {-1, -1},
        new int[] {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
    check(
        new int[] {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
        new int[] {0xa4093822, 0x299f31d0},
        new int[] {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
  }

  private static void check(int[] counter, int[] key, int[] expected) {
    Philox.permute(counter, key[0], key[1]);
    assertArrayEquals(expected, counter);
  }

  @Test
  void bitsAreTheFirstTwoWords() {
    long seed = 0x299f31d0_a4093822L;
    long row = 0x03707344_13198a2eL;
    assertEquals(0x94fdcceb_d16cfe09L, new Philox().bits(seed, row, 0x85a308d3, 0x243f6a88));
  }

  @Test
  void everyArgumentCounts() {
    Set<Long> seen = new HashSet<>();
    Philox philox = new Philox();
    for (int i = 0; i < 1000; i++) {
      seen.add(philox.bits(i, 0, 0, 0));
      seen.add(philox.bits((long) i << 32, 0, 0, 0));
      seen.add(philox.bits(0, i, 0, 0));
      seen.add(philox.bits(0, (long) i << 32, 0, 0));
      seen.add(philox.bits(0, 0, i, 0));
      seen.add(philox.bits(0, 0, 0, i));
    }
    assertEquals(6 * 999 + 1, seen.size());
  }
}
