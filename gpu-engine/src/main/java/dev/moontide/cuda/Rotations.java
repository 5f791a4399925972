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

import dev.moontide.tensor.Rope;
import org.jspecify.annotations.Nullable;

/**
 * Cosines and sines of every position met so far, computed in float64 and kept in float32
 * [positions, rope] on the device.
 */
final class Rotations implements Owned.Resource {
  private static final int FIRST = 1024;

  private final CudaDevice device;
  private final CudaStream stream;
  private final Rope rope;
  private @Nullable DeviceBuffer buffer;
  private int positions;
  private long generation;

  Rotations(CudaDevice device, CudaStream stream, Rope rope) {
    this.device = device;
    this.stream = stream;
    this.rope = rope;
  }

  /** Whether this is the table of {@code other}. */
  boolean isOf(Rope other) {
    return rope == other;
  }

  /** Extends the table to {@code position}; where it lies. */
  long reach(int position) {
    DeviceBuffer there = buffer;
    if (there == null || position >= positions) {
      there = extend(Math.max(Math.max(FIRST, position + 1), 2 * positions));
    }
    return there.address();
  }

  /** Changes when the table is no longer where it was. */
  long generation() {
    return generation;
  }

  private DeviceBuffer extend(int end) {
    float[] values = new float[Math.multiplyExact(end, rope.dimension())];
    for (int p = 0; p < end; p++) {
      rope.rotation(p, values, p * rope.dimension());
    }
    int bytes = Math.multiplyExact(values.length, Float.BYTES);
    DeviceBuffer next = DeviceBuffer.allocate(device, bytes, "rotations");
    try (PinnedBuffer host = new PinnedBuffer(bytes, "rotations")) {
      host.view().asFloatBuffer().put(values);
      stream.upload(next, 0, host, bytes);
      stream.synchronise();
    }
    close();
    buffer = next;
    positions = end;
    generation++;
    return next;
  }

  @Override
  public void close() {
    if (buffer != null) {
      buffer.close();
    }
  }
}
