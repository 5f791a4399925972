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
package dev.moontide.cpu.vector;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class Bf16Test {
  private static float bits(int value) {
    return Float.intBitsToFloat(value);
  }

  @Test
  void roundsToNearestTiesToEven() {
    assertEquals((short) 0x3F80, Bf16.fromFloat(bits(0x3F80_8000)));
    assertEquals((short) 0x3F82, Bf16.fromFloat(bits(0x3F81_8000)));
    assertEquals((short) 0x3F81, Bf16.fromFloat(bits(0x3F80_8001)));
    assertEquals((short) 0x3F80, Bf16.fromFloat(bits(0x3F80_7FFF)));
    assertEquals((short) 0x7F80, Bf16.fromFloat(Float.MAX_VALUE));
    assertEquals((short) 0xFF80, Bf16.fromFloat(Float.NEGATIVE_INFINITY));
    assertEquals((short) 0x8000, Bf16.fromFloat(-0f));
    assertTrue(Float.isNaN(Bf16.toFloat(Bf16.fromFloat(Float.NaN))));
    assertTrue(Float.isNaN(Bf16.toFloat(Bf16.fromFloat(bits(0x7F80_0001)))));
  }

  @Test
  void everyNumberSurvivesTheRoundTrip() {
    short[] all = new short[1 << 16];
    float[] wide = new float[all.length];
    short[] back = new short[all.length];
    for (int i = 0; i < all.length; i++) {
      all[i] = (short) i;
    }
    Bf16.toFloats(all, 0, wide, 0, all.length);
    Bf16.fromFloats(wide, 0, back, 0, all.length);
    for (int i = 0; i < all.length; i++) {
      if (Float.isNaN(wide[i])) {
        assertTrue(Float.isNaN(Bf16.toFloat(back[i])));
      } else {
        assertEquals(all[i], back[i]);
      }
    }
  }

  @Test
  void arraysAndSinglesAgree() {
    SplittableRandom random = new SplittableRandom(3);
    float[] x = new float[101];
    short[] out = new short[101];
    for (int round = 0; round < 1000; round++) {
      for (int i = 0; i < x.length; i++) {
        x[i] = bits(random.nextInt());
      }
      Bf16.fromFloats(x, 1, out, 1, 100);
      for (int i = 1; i < x.length; i++) {
        assertEquals(Bf16.fromFloat(x[i]), out[i]);
      }
    }
  }
}
