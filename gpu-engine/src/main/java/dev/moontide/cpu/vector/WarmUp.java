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
 * Runs the loops on the Vector API until the JIT has compiled them with its optimising tier. Before
 * that every vector is an object on the heap, a hundred times slower: a short job would spend most
 * of its time there.
 */
public final class WarmUp {
  private static final int WIDTH = 512;
  private static final int ROUNDS = 12_000;
  private static final long LIMIT_NANOS = 1_500_000_000L;

  private static boolean isDone;

  private WarmUp() {}

  /** Takes a fraction of a second, once in a process. */
  public static synchronized void run() {
    if (isDone) {
      return;
    }
    isDone = true;
    float[] x = new float[WIDTH];
    float[] out = new float[WIDTH];
    float[] gain = new float[WIDTH];
    short[] rounded = new short[WIDTH];
    long start = System.nanoTime();
    for (int i = 0; i < ROUNDS && System.nanoTime() - start < LIMIT_NANOS; i++) {
      x[i % WIDTH] = i % 7 - 3f;
      x[i % WIDTH] += Rows.max(x, 0, WIDTH);
      RmsNorm.normalise(x, 0, gain, 1e-6f, out, 0, WIDTH);
      Exp.of(x, 0, 0.5f, 1f, out, 0, WIDTH);
      Bf16.fromFloats(out, 0, rounded, 0, WIDTH);
      Bf16.toFloats(rounded, 0, out, 0, WIDTH);
    }
  }
}
