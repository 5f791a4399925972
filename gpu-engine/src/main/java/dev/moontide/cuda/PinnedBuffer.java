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
import java.nio.ByteOrder;
import jcuda.Pointer;
import jcuda.driver.CUresult;
import jcuda.driver.JCudaDriver;

/** Page-locked memory of the host, which the device copies from and to by itself. */
final class PinnedBuffer implements Owned.Resource {
  private static final int PAGE = 4096;

  private final Pointer pointer;
  private final int bytes;
  private final ByteBuffer view;

  /** Whether the memory is the JVM's, and only its pages' place is the driver's. */
  private final boolean isRegistered;

  /** Allocates {@code bytes}. */
  PinnedBuffer(int bytes, String purpose) {
    this.bytes = bytes;
    isRegistered = false;
    pointer = new Pointer();
    Calls.check(JCudaDriver.cuMemHostAlloc(pointer, bytes, 0), "cuMemHostAlloc", "bytes", bytes);
    view = pointer.getByteBuffer(0, bytes).order(ByteOrder.nativeOrder());
    Open.add(this, "%,d bytes of pinned memory for %s".formatted(bytes, purpose));
  }

  private PinnedBuffer(ByteBuffer memory, Pointer pointer, String purpose) {
    bytes = memory.capacity();
    isRegistered = true;
    view = memory;
    this.pointer = pointer;
    Open.add(this, "%,d bytes of registered memory for %s".formatted(bytes, purpose));
  }

  /**
   * Pins memory of the JVM, whose pages are there before the driver is asked: several threads do
   * that side by side, while the driver allocates for one at a time. The garbage collector frees it
   * some time after {@link #close}. Where a platform's driver does not pin what it did not
   * allocate, it allocates.
   *
   * @param bytes a multiple of a page's
   */
  static PinnedBuffer registered(int bytes, String purpose) {
    ByteBuffer memory = ByteBuffer.allocateDirect(bytes + PAGE);
    ByteBuffer pages = memory.alignedSlice(PAGE).slice(0, bytes).order(ByteOrder.nativeOrder());
    Pointer pointer = Pointer.to(pages);
    int result = JCudaDriver.cuMemHostRegister(pointer, bytes, 0);
    if (result == CUresult.CUDA_ERROR_NOT_SUPPORTED) {
      return new PinnedBuffer(bytes, purpose);
    }
    Calls.check(result, "cuMemHostRegister", "bytes", bytes);
    return new PinnedBuffer(pages, pointer, purpose);
  }

  int bytes() {
    return bytes;
  }

  Pointer pointer() {
    return pointer;
  }

  /** All of it, in the machine's byte order; the same object at every call. */
  ByteBuffer view() {
    return view;
  }

  @Override
  public void close() {
    if (Open.remove(this)) {
      if (isRegistered) {
        Calls.check(
            JCudaDriver.cuMemHostUnregister(pointer), "cuMemHostUnregister", "bytes", bytes);
      } else {
        Calls.check(JCudaDriver.cuMemFreeHost(pointer), "cuMemFreeHost", "bytes", bytes);
      }
    }
  }
}
