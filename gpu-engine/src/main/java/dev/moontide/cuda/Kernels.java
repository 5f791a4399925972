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
import java.util.ArrayList;
import java.util.List;
import jcuda.driver.CUfunction;
import jcuda.driver.CUfunction_attribute;
import jcuda.driver.CUmodule;
import jcuda.driver.CUresult;
import jcuda.driver.JCudaDriver;

/** The kernels of one path and device, loaded. */
final class Kernels implements Owned.Resource {
  /** Dynamic shared memory every block may use without asking. */
  private static final int PLAIN_SHARED_BYTES = 48 << 10;

  private final CudaDevice device;
  private final List<CUmodule> modules = new ArrayList<>();

  /** Loads every kernel of {@code path} for {@code device}, to which the thread is bound. */
  Kernels(CudaDevice device, KernelPath path) {
    this.device = device;
    Open.add(this, "kernels");
    try {
      KernelImages.load(path).forEach(this::load);
    } catch (RuntimeException e) {
      close();
      throw e;
    }
  }

  private void load(byte[] image) {
    CUmodule module = new CUmodule();
    int result = JCudaDriver.cuModuleLoadData(module, image);
    if (result == CUresult.CUDA_ERROR_NO_BINARY_FOR_GPU
        || result == CUresult.CUDA_ERROR_UNSUPPORTED_PTX_VERSION) {
      throw MoontideException.configuration(
          "%s cannot run the kernels of this build (%s), which are for compute capability 8.0 and"
              + " newer and, beyond sm_80, sm_86, sm_89, sm_90 and sm_100, need a driver as new as"
              + " the compiler: update the NVIDIA driver, use another GPU, or --backend cpu",
          device.description(), CUresult.stringFor(result));
    }
    Calls.check(result, "cuModuleLoadData", "bytes", image.length);
    modules.add(module);
  }

  /**
   * Finds a kernel.
   *
   * @param threads of a block
   * @param sharedBytes the most dynamic shared memory its launches ask for
   */
  Kernel kernel(String name, int threads, int sharedBytes) {
    CUfunction function = new CUfunction();
    int result = CUresult.CUDA_ERROR_NOT_FOUND;
    for (int i = 0; i < modules.size() && result == CUresult.CUDA_ERROR_NOT_FOUND; i++) {
      result = JCudaDriver.cuModuleGetFunction(function, modules.get(i), name);
    }
    Calls.check(result, "cuModuleGetFunction", name);
    if (sharedBytes > device.maxSharedBytes()) {
      throw MoontideException.configuration(
          "kernel %s needs %,d bytes of shared memory for this model's shape, and %s has %,d: use"
              + " a newer GPU, or --backend cpu",
          name, sharedBytes, device.description(), device.maxSharedBytes());
    }
    if (sharedBytes > PLAIN_SHARED_BYTES) {
      Calls.check(
          JCudaDriver.cuFuncSetAttribute(
              function,
              CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
              sharedBytes),
          "cuFuncSetAttribute",
          name);
    }
    return new Kernel(name, function, threads, sharedBytes);
  }

  /** Finds a kernel without dynamic shared memory. */
  Kernel kernel(String name, int threads) {
    return kernel(name, threads, 0);
  }

  @Override
  public void close() {
    if (Open.remove(this)) {
      for (CUmodule module : modules) {
        Calls.check(JCudaDriver.cuModuleUnload(module), "cuModuleUnload");
      }
    }
  }
}
