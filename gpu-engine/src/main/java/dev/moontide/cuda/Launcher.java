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
import java.util.Arrays;
import jcuda.Pointer;
import jcuda.driver.JCudaDriver;
import org.jspecify.annotations.Nullable;

/**
 * Launches kernels on a stream:
 *
 * <pre>{@code
 * launcher.of(kernel).pointer(x).integer(n).grid(n, 1, 1);
 * }</pre>
 *
 * <p>A kernel that takes one struct ({@link #of}) has its fields written in order, the eight-byte
 * ones first, then the others, which leaves no gaps. One that takes several parameters ({@link
 * #parameters}) has them written in order, each into eight bytes of its own.
 *
 * <p>The driver has taken the arguments when a launch returns, so one buffer serves all; nothing is
 * allocated. Used by one thread at a time.
 */
final class Launcher implements Owned.Resource {
  private static final int MAX_ARGUMENT_BYTES = 256;
  private static final int PARAMETER_BYTES = 8;
  private static final int MAX_GRID_YZ = 65_535;

  private final CudaStream stream;
  private final PinnedBuffer buffer = new PinnedBuffer(MAX_ARGUMENT_BYTES, "kernel arguments");
  private final ByteBuffer arguments = buffer.view();
  private final Pointer struct = Pointer.to(buffer.pointer());

  /** By number of parameters, where each of them lies. */
  private final @Nullable Pointer[] parameters =
      new Pointer[MAX_ARGUMENT_BYTES / PARAMETER_BYTES + 1];

  private Kernel kernel = new Kernel("none", new jcuda.driver.CUfunction(), 0, 0);
  private boolean isStruct = true;

  Launcher(CudaStream stream) {
    this.stream = stream;
  }

  /** A kernel that takes a struct. */
  Launcher of(Kernel next) {
    kernel = next;
    isStruct = true;
    arguments.clear();
    return this;
  }

  /** A kernel that takes parameters. */
  Launcher parameters(Kernel next) {
    of(next);
    isStruct = false;
    return this;
  }

  /** An address on the device. */
  Launcher pointer(long address) {
    arguments.putLong(address);
    return this;
  }

  Launcher pointer(Memory memory) {
    return pointer(memory.address());
  }

  Launcher wide(long value) {
    arguments.putLong(value);
    return this;
  }

  Launcher integer(int value) {
    arguments.putInt(value);
    return aligned();
  }

  private Launcher aligned() {
    if (!isStruct) {
      arguments.putInt(0);
    }
    return this;
  }

  Launcher flag(boolean value) {
    return integer(value ? 1 : 0);
  }

  Launcher real(float value) {
    arguments.putFloat(value);
    return aligned();
  }

  /** Launches a grid of {@code x · y · z} blocks. */
  void grid(int x, int y, int z) {
    if (x < 1 || y < 1 || z < 1 || y > MAX_GRID_YZ || z > MAX_GRID_YZ) {
      throw new IllegalArgumentException(
          "kernel %s: grid %d x %d x %d, allowed are 1 to 2^31 - 1 x %d x %d"
              .formatted(kernel.name(), x, y, z, MAX_GRID_YZ, MAX_GRID_YZ));
    }
    Calls.check(
        JCudaDriver.cuLaunchKernel(
            kernel.function(),
            x,
            y,
            z,
            kernel.threads(),
            1,
            1,
            kernel.sharedBytes(),
            stream.handle(),
            isStruct ? struct : separate(arguments.position() / PARAMETER_BYTES),
            null),
        "cuLaunchKernel",
        kernel.name());
  }

  private Pointer separate(int count) {
    Pointer known = parameters[count];
    if (known == null) {
      Pointer[] each = new Pointer[count];
      Arrays.setAll(each, i -> buffer.pointer().withByteOffset((long) i * PARAMETER_BYTES));
      known = Pointer.to(each);
      parameters[count] = known;
    }
    return known;
  }

  @Override
  public void close() {
    buffer.close();
  }
}
