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

import dev.moontide.api.MoontideException;
import jcuda.driver.CUdeviceptr;
import jcuda.driver.CUresult;
import jcuda.driver.JCudaDriver;

/** Memory of the device, freed by its owner. */
final class DeviceBuffer implements Owned.Resource {
  private final Address address = new Address();
  private final long bytes;

  /** JCuda keeps the number to itself; kernels' arguments need it. */
  private static final class Address extends CUdeviceptr {
    long value() {
      return getNativePointer();
    }
  }

  private DeviceBuffer(long bytes) {
    this.bytes = bytes;
  }

  /** Allocates {@code bytes}, at least 1, for {@code purpose}. */
  static DeviceBuffer allocate(CudaDevice device, long bytes, String purpose) {
    DeviceBuffer buffer = new DeviceBuffer(bytes);
    int result = JCudaDriver.cuMemAlloc(buffer.address, bytes);
    if (result == CUresult.CUDA_ERROR_OUT_OF_MEMORY) {
      throw MoontideException.engine(
          "%s has no %,d bytes for %s, %,d are free: is another process using it? Otherwise use"
              + " a device with more memory, or a smaller kv-cache-memory or max-batch-tokens",
          device.description(), bytes, purpose, device.freeBytes());
    }
    Calls.check(result, "cuMemAlloc", "bytes", bytes);
    Open.add(buffer, "%,d bytes of device memory for %s".formatted(bytes, purpose));
    return buffer;
  }

  long bytes() {
    return bytes;
  }

  /** Where it begins on the device. */
  long address() {
    return address.value();
  }

  /** The place {@code offset} bytes from its beginning. */
  CUdeviceptr at(long offset) {
    return offset == 0 ? address : address.withByteOffset(offset);
  }

  @Override
  public void close() {
    if (Open.remove(this)) {
      Calls.check(JCudaDriver.cuMemFree(address), "cuMemFree", "bytes", bytes);
    }
  }
}
