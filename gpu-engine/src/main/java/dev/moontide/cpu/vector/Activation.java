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

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/** The experts' activation and the router's. */
public final class Activation {
  private static final VectorSpecies<Float> FLOATS = FloatVector.SPECIES_PREFERRED;

  private Activation() {}

  /** {@code 1 / (1 + exp(−x))} of {@code n} numbers. */
  public static void sigmoid(float[] x, int xFrom, float[] out, int outFrom, int n) {
    int lanes = FLOATS.length();
    int i = 0;
    for (; i <= n - lanes; i += lanes) {
      FloatVector v = FloatVector.fromArray(FLOATS, x, xFrom + i);
      FloatVector.broadcast(FLOATS, 1f).div(Exp.exp(v.neg()).add(1f)).intoArray(out, outFrom + i);
    }
    for (; i < n; i++) {
      out[outFrom + i] = 1f / (Exp.exp(-x[xFrom + i]) + 1f);
    }
  }

  /**
   * {@code silu(gate) · up} of {@code n} numbers, with the gates at {@code from} and the ups {@code
   * n} further.
   */
  public static void swiglu(float[] gateUp, int from, float[] out, int outFrom, int n) {
    int lanes = FLOATS.length();
    int i = 0;
    for (; i <= n - lanes; i += lanes) {
      swiglu(gateUp, from + i, n).intoArray(out, outFrom + i);
    }
    for (; i < n; i++) {
      out[outFrom + i] = swiglu(gateUp[from + i], gateUp[from + n + i]);
    }
  }

  /** {@link #swiglu(float[], int, float[], int, int)} rounded to bf16. */
  public static void swiglu(float[] gateUp, int from, short[] out, int outFrom, int n) {
    int lanes = FLOATS.length();
    int i = 0;
    for (; i <= n - lanes; i += lanes) {
      Bf16.round(swiglu(gateUp, from + i, n)).intoArray(out, outFrom + i);
    }
    for (; i < n; i++) {
      out[outFrom + i] = Bf16.fromFloat(swiglu(gateUp[from + i], gateUp[from + n + i]));
    }
  }

  private static FloatVector swiglu(float[] gateUp, int from, int toUp) {
    FloatVector gate = FloatVector.fromArray(FLOATS, gateUp, from);
    FloatVector up = FloatVector.fromArray(FLOATS, gateUp, from + toUp);
    return gate.div(Exp.exp(gate.neg()).add(1f)).mul(up);
  }

  private static float swiglu(float gate, float up) {
    return gate / (Exp.exp(-gate) + 1f) * up;
  }
}
