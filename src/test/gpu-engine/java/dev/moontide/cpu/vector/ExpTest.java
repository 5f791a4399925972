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

class ExpTest {
  @Test
  void isWithinTwoUnitsInTheLastPlace() {
    for (float x = -87f; x < 88.7f; x += 0.000_97f) {
      double exact = Math.exp(x);
      double error = Math.abs(Exp.of(x) - exact) / Math.ulp((float) exact);
      assertTrue(error <= 2, () -> "exp is " + error + " ulp off");
    }
  }

  @Test
  void endsAreExact() {
    assertEquals(1f, Exp.of(0f));
    assertEquals(1f, Exp.of(-0f));
    assertEquals(0f, Exp.of(-104f));
    assertEquals(0f, Exp.of(Float.NEGATIVE_INFINITY));
    assertEquals(Float.POSITIVE_INFINITY, Exp.of(89f));
    assertEquals(Float.POSITIVE_INFINITY, Exp.of(Float.POSITIVE_INFINITY));
    assertTrue(Float.isNaN(Exp.of(Float.NaN)));
  }

  /** Sigmoid of an array reaches both forms: whole vectors and a tail shorter than any vector. */
  @Test
  void scalarAndVectorGiveTheSameBits() {
    SplittableRandom random = new SplittableRandom(1);
    float[] x = new float[67];
    float[] out = new float[67];
    for (int round = 0; round < 2000; round++) {
      for (int i = 0; i < x.length; i++) {
        x[i] = (float) (random.nextDouble() * 240 - 120);
      }
      x[5] = Float.NaN;
      x[6] = Float.NEGATIVE_INFINITY;
      x[7] = Float.POSITIVE_INFINITY;
      Activation.sigmoid(x, 0, out, 0, x.length);
      for (int i = 0; i < x.length; i++) {
        float alone = 1f / (Exp.of(-x[i]) + 1f);
        assertEquals(Float.floatToIntBits(alone), Float.floatToIntBits(out[i]));
      }
    }
  }

  @Test
  void swigluAgreesWithFloat64() {
    SplittableRandom random = new SplittableRandom(2);
    int n = 37;
    float[] gateUp = new float[2 * n];
    float[] scratch = new float[n];
    for (int round = 0; round < 200; round++) {
      for (int i = 0; i < 2 * n; i++) {
        gateUp[i] = (float) (random.nextDouble() * 40 - 20);
      }
      float[] out = gateUp.clone();
      Activation.swiglu(out, 0, scratch, n);
      for (int i = 0; i < n; i++) {
        double gate = gateUp[i];
        double exact = gate / (1 + Math.exp(-gate)) * gateUp[n + i];
        assertEquals(exact, out[i], 1e-6 * Math.abs(exact));
      }
    }
  }
}
