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
import java.nio.charset.StandardCharsets;
import jcuda.driver.CUcontext;
import jcuda.driver.CUdevice;
import jcuda.driver.CUdevice_attribute;
import jcuda.driver.JCudaDriver;

/**
 * One GPU and a hold on this process's context on it. A thread that calls the device binds it
 * first.
 */
public final class CudaDevice implements AutoCloseable {
  private final CUdevice device = new CUdevice();
  private final CUcontext context = new CUcontext();
  private final int ordinal;
  private final String name;
  private final int major;
  private final int minor;
  private final int maxSharedBytes;
  private final int multiprocessors;
  private final String driverVersion;

  private CudaDevice(CudaDriver driver, int ordinal) {
    this.ordinal = ordinal;
    driverVersion = driver.version();
    Calls.check(JCudaDriver.cuDeviceGet(device, ordinal), "cuDeviceGet", "ordinal", ordinal);
    byte[] text = new byte[256];
    Calls.check(JCudaDriver.cuDeviceGetName(text, text.length, device), "cuDeviceGetName");
    name = new String(text, StandardCharsets.UTF_8).split("\0", 2)[0];
    major = attribute(device, CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
    minor = attribute(device, CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
    maxSharedBytes =
        attribute(device, CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
    multiprocessors =
        attribute(device, CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
    Calls.check(
        JCudaDriver.cuDevicePrimaryCtxRetain(context, device),
        "cuDevicePrimaryCtxRetain",
        "device",
        ordinal);
    Open.add(this, "context of device " + ordinal);
  }

  private static int attribute(CUdevice device, int attribute) {
    int[] value = new int[1];
    Calls.check(
        JCudaDriver.cuDeviceGetAttribute(value, attribute, device),
        "cuDeviceGetAttribute",
        "attribute",
        attribute);
    return value[0];
  }

  /**
   * Opens device {@code ordinal}, which the calling thread is then bound to.
   *
   * @throws MoontideException that says what this machine lacks
   */
  public static CudaDevice open(int ordinal) {
    CudaDriver driver = CudaDriver.load();
    int devices = driver.devices();
    if (ordinal < 0 || ordinal >= devices) {
      throw MoontideException.configuration(
          "CUDA device %d does not exist: this machine shows %d (see nvidia-smi and"
              + " CUDA_VISIBLE_DEVICES)",
          ordinal, devices);
    }
    return new CudaDevice(driver, ordinal);
  }

  /** Lets the calling thread call the device. */
  void bind() {
    Calls.check(JCudaDriver.cuCtxSetCurrent(context), "cuCtxSetCurrent", "device", ordinal);
  }

  /** For logs and messages: {@code "device 0 (NVIDIA H200, sm_90, CUDA 13.0)"}. */
  public String description() {
    return "device %d (%s, sm_%d%d, CUDA %s)".formatted(ordinal, name, major, minor, driverVersion);
  }

  /** Compute capability, {@code 90} for 9.0. */
  int capability() {
    return 10 * major + minor;
  }

  /** Dynamic shared memory a block may ask for. */
  int maxSharedBytes() {
    return maxSharedBytes;
  }

  /** Its multiprocessors. */
  int multiprocessors() {
    return multiprocessors;
  }

  /** Bytes nobody uses yet. */
  public long freeBytes() {
    return memory()[0];
  }

  /** Bytes it has. */
  public long totalBytes() {
    return memory()[1];
  }

  private long[] memory() {
    bind();
    long[] free = new long[1];
    long[] total = new long[1];
    Calls.check(JCudaDriver.cuMemGetInfo(free, total), "cuMemGetInfo");
    return new long[] {free[0], total[0]};
  }

  @Override
  public void close() {
    if (Open.remove(this)) {
      Calls.check(
          JCudaDriver.cuDevicePrimaryCtxRelease(device),
          "cuDevicePrimaryCtxRelease",
          "device",
          ordinal);
    }
  }
}
