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
 * Compares a primitive of several rows with that of one row, bit by bit: on random factors, in
 * every row position, with room between the rows checked to stay as it was.
 */
final class InvarianceCheck {
  /** Random numbers repeat with this period, a prime, so that no two rows are alike. */
  private static final int PERIOD = 8191;

  private final Dnnl dnnl;
  private final MatmulKernel kernel;

  InvarianceCheck(Dnnl dnnl, MatmulKernel kernel) {
    this.dnnl = dnnl;
    this.kernel = kernel;
  }

  boolean holds(int rows) {
    MatmulShape shape = kernel.shape();
    int typeBytes = shape.type().bytes();
    int targetBytes = shape.target().bytes();
    long sourceBytes = (long) rows * shape.sourceStride() * typeBytes;
    long resultBytes = (long) rows * shape.targetStride() * targetBytes;
    try (NativeMemory memory = new NativeMemory();
        Lane lane = new Lane(dnnl)) {
      long source = memory.allocate(sourceBytes, "a check");
      long weight = memory.allocate(kernel.weightBytes(), "a check");
      long together = memory.allocate(resultBytes, "a check");
      long apart = memory.allocate(resultBytes, "a check");
      fill(Address.view(source, sourceBytes), shape.type(), 1);
      fill(Address.view(weight, kernel.weightBytes()), shape.type(), 2);
      ByteBuffer results = Address.view(together, resultBytes);
      ByteBuffer singles = Address.view(apart, resultBytes);
      fill(results, shape.target(), 3);
      fill(singles, shape.target(), 3);
      lane.execute(kernel, rows, source, weight, together);
      for (int r = 0; r < rows; r++) {
        lane.execute(
            kernel,
            1,
            source + (long) r * shape.sourceStride() * typeBytes,
            weight,
            apart + (long) r * shape.targetStride() * targetBytes);
      }
      return results.equals(singles);
    }
  }

  /** Numbers in ±[0.5, 2). */
  private static void fill(ByteBuffer buffer, DType type, int seed) {
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
    buffer.rewind();
  }
}
