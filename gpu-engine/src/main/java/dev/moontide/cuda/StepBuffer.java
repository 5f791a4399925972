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

import dev.moontide.tensor.Step;
import java.nio.IntBuffer;
import org.jspecify.annotations.Nullable;

/**
 * A step on the device, in the layout of {@code step.cuh}: a header, then the arrays, copied at
 * once when an operation first meets the step.
 */
final class StepBuffer implements Owned.Resource {
  private static final int HEADER = 10;

  private final CudaDevice device;
  private final CudaStream stream;
  private final CudaEvent copied = new CudaEvent("steps");
  private @Nullable PinnedBuffer host;
  private @Nullable DeviceBuffer buffer;
  private @Nullable Step step;
  private int revision;
  private int maxPosition;
  private int maxVisible;
  private long generation;
  private int[] tables = new int[0];

  StepBuffer(CudaDevice device, CudaStream stream) {
    this.device = device;
    this.stream = stream;
  }

  /** Where {@code step} lies on the device, to which it is copied unless it is there already. */
  long address(Step next) {
    DeviceBuffer there = buffer;
    if (there == null || step != next || revision != next.revision()) {
      there = write(next);
      step = next;
      revision = next.revision();
    }
    return there.address();
  }

  /** The highest position of the step copied last. */
  int maxPosition() {
    return maxPosition;
  }

  /** The most cache entries a token of the step copied last sees. */
  int maxVisible() {
    return maxVisible;
  }

  /** Changes when steps are no longer where they were. */
  long generation() {
    return generation;
  }

  private DeviceBuffer write(Step next) {
    int tokens = next.tokens();
    int ancestors = next.ancestorStart(tokens);
    int blocks = 0;
    for (int s = 0; s < next.sequences(); s++) {
      blocks += next.blockTable(s).length;
    }
    int ints = HEADER + 7 * tokens + 1 + ancestors + blocks + next.logitRows();
    DeviceBuffer to = reserve(ints);
    PinnedBuffer from = java.util.Objects.requireNonNull(host);
    IntBuffer out = from.view().clear().asIntBuffer();
    fill(out, next, tokens, ancestors);
    stream.upload(to, 0, from, (long) out.position() * Integer.BYTES);
    copied.record(stream);
    return to;
  }

  /** Makes room, and waits until the last step's copy is done. */
  private DeviceBuffer reserve(int ints) {
    DeviceBuffer there = buffer;
    if (there != null && there.bytes() >= (long) ints * Integer.BYTES) {
      copied.synchronise();
      return there;
    }
    stream.synchronise();
    close(host);
    close(there);
    int bytes = Math.multiplyExact(2 * ints, Integer.BYTES);
    host = new PinnedBuffer(bytes, "steps");
    there = DeviceBuffer.allocate(device, bytes, "steps");
    buffer = there;
    generation++;
    return there;
  }

  private void fill(IntBuffer out, Step next, int tokens, int ancestors) {
    int at = HEADER;
    out.put(0, tokens).put(1, next.logitRows());
    for (int array = 2; array <= 6; array++) {
      out.put(array, at);
      at += array == 6 ? tokens + 1 : tokens;
    }
    out.put(7, at).put(8, at + ancestors).put(9, at + ancestors + tokens);
    int firstTable = at + ancestors + tokens + next.logitRows();
    out.position(HEADER);
    maxPosition = 0;
    maxVisible = 0;
    for (int t = 0; t < tokens; t++) {
      out.put(next.tokenId(t));
    }
    for (int t = 0; t < tokens; t++) {
      out.put(next.position(t));
      maxPosition = Math.max(maxPosition, next.position(t));
    }
    for (int t = 0; t < tokens; t++) {
      out.put(next.cacheIndex(t));
    }
    for (int t = 0; t < tokens; t++) {
      out.put(next.prefixLength(t));
      int own = next.ancestorStart(t + 1) - next.ancestorStart(t);
      maxVisible = Math.max(maxVisible, next.prefixLength(t) + own);
    }
    for (int t = 0; t <= tokens; t++) {
      out.put(next.ancestorStart(t));
    }
    for (int i = 0; i < ancestors; i++) {
      out.put(next.ancestor(i));
    }
    placeTables(next, firstTable);
    for (int t = 0; t < tokens; t++) {
      out.put(tables[next.sequence(t)]);
    }
    for (int row = 0; row < next.logitRows(); row++) {
      out.put(next.logitToken(row));
    }
    for (int s = 0; s < next.sequences(); s++) {
      out.put(next.blockTable(s));
    }
  }

  /** Finds where each sequence's block table will begin. */
  private void placeTables(Step next, int first) {
    if (tables.length < next.sequences()) {
      tables = new int[2 * next.sequences()];
    }
    int at = first;
    for (int s = 0; s < next.sequences(); s++) {
      tables[s] = at;
      at += next.blockTable(s).length;
    }
  }

  private static void close(Owned.@Nullable Resource resource) {
    if (resource != null) {
      resource.close();
    }
  }

  @Override
  public void close() {
    close(host);
    close(buffer);
    copied.close();
  }
}
