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
package dev.moontide.cuda;

import java.nio.ByteBuffer;

/** What sampling asks of whole rows of logits. Every answer waits for the device. */
final class Logits implements Owned.Resource {
  private static final int THREADS = 256;

  private final Execution run;
  private final Kernel argmax;
  private final Kernel logProbabilities;
  private final HostExchange exchange;

  Logits(Execution run) {
    this.run = run;
    argmax = run.kernels.kernel("argmax", THREADS);
    logProbabilities = run.kernels.kernel("log_probabilities", THREADS);
    exchange = new HostExchange(run);
  }

  /** Index of each row's largest entry, the lowest of equals; NaNs are passed over. */
  void argmax(int[] out, CudaTensor logits, int n) {
    ByteBuffer host = exchange.begin(n * Integer.BYTES);
    run.launcher
        .of(argmax)
        .pointer(exchange.address())
        .pointer(logits.memory())
        .integer(logits.columns())
        .grid(n, 1, 1);
    exchange.download(0, n * Integer.BYTES);
    host.asIntBuffer().get(out, 0, n);
  }

  /** {@code out[i] = log softmax(logits[rows[i]])[tokens[i]]}, rows in non-decreasing order. */
  void logProbabilities(double[] out, CudaTensor logits, int[] rows, int[] tokens, int count) {
    // Results first, for their alignment; then the starts, rows and tokens.
    int inputs = count * Double.BYTES;
    int bytes = inputs + (3 * count + 1) * Integer.BYTES;
    ByteBuffer host = exchange.begin(bytes);
    host.position(inputs);
    int distinct = 0;
    for (int i = 0; i < count; i++) {
      if (i == 0 || rows[i] != rows[i - 1]) {
        host.putInt(i);
        distinct++;
      }
    }
    host.putInt(count);
    int rowsAt = host.position();
    for (int i = 0; i < count; i++) {
      host.putInt(rows[i]);
    }
    int tokensAt = host.position();
    for (int i = 0; i < count; i++) {
      host.putInt(tokens[i]);
    }
    exchange.upload(host.position());
    run.launcher
        .of(logProbabilities)
        .pointer(exchange.address())
        .pointer(logits.memory())
        .pointer(exchange.address() + inputs)
        .pointer(exchange.address() + rowsAt)
        .pointer(exchange.address() + tokensAt)
        .integer(logits.columns())
        .grid(distinct, 1, 1);
    exchange.download(0, count * Double.BYTES);
    host.clear().asDoubleBuffer().get(out, 0, count);
  }

  /** Copies a row of float32. */
  void read(CudaTensor x, int row, float[] out, int offset) {
    ByteBuffer host = exchange.begin((int) x.rowBytes());
    exchange.download(x.memory(), row * x.rowBytes(), (int) x.rowBytes());
    host.asFloatBuffer().get(out, offset, x.columns());
  }

  @Override
  public void close() {
    exchange.close();
  }
}
