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

/**
 * The experts' activation and the router's, each as plain loops around {@link Exp}, the only one
 * that needs the Vector API: the JIT vectorises the others by itself.
 */
public final class Activation {
  private Activation() {}

  /** {@code 1 / (1 + exp(−x))} of {@code n} numbers. */
  public static void sigmoid(float[] x, int xFrom, float[] out, int outFrom, int n) {
    Exp.of(x, xFrom, 0f, -1f, out, outFrom, n);
    for (int i = outFrom; i < outFrom + n; i++) {
      out[i] = 1f / (out[i] + 1f);
    }
  }

  /**
   * {@code silu(gate) · up} of {@code n} numbers, with the gates at {@code from} and the ups {@code
   * n} further, in place of the gates. {@code scratch} holds {@code n} numbers.
   */
  public static void swiglu(float[] gateUp, int from, float[] scratch, int n) {
    Exp.of(gateUp, from, 0f, -1f, scratch, 0, n);
    for (int i = 0; i < n; i++) {
      gateUp[from + i] = gateUp[from + i] / (scratch[i] + 1f) * gateUp[from + n + i];
    }
  }
}
