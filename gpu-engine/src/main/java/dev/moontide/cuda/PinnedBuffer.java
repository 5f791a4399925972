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
import jcuda.driver.JCudaDriver;

/** Page-locked memory of the host, which the device copies from and to by itself. */
final class PinnedBuffer implements Owned.Resource {
  private final Pointer pointer = new Pointer();
  private final int bytes;
  private final ByteBuffer view;

  PinnedBuffer(int bytes, String purpose) {
    this.bytes = bytes;
    Calls.check(JCudaDriver.cuMemHostAlloc(pointer, bytes, 0), "cuMemHostAlloc", "bytes", bytes);
    view = pointer.getByteBuffer(0, bytes).order(ByteOrder.nativeOrder());
    Open.add(this, "%,d bytes of pinned memory for %s".formatted(bytes, purpose));
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
      Calls.check(JCudaDriver.cuMemFreeHost(pointer), "cuMemFreeHost", "bytes", bytes);
    }
  }
}
