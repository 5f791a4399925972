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

import dev.moontide.tensor.Backend;
import dev.moontide.tensor.Cells;
import dev.moontide.tensor.DType;
import dev.moontide.tensor.Ops;
import dev.moontide.tensor.Routing;
import dev.moontide.tensor.Tensor;
import java.util.List;
import jcuda.Pointer;
import jcuda.driver.JCudaDriver;

/**
 * The CUDA backend on rows as they come, on the emulated device unless {@link Emulation} is off.
 */
record CudaBackend(KernelPath path) implements Backend {
  static List<Backend> all() {
    Emulation.start();
    Emulation.configure();
    List<Backend> backends =
        List.of(new CudaBackend(KernelPath.SIMPLE), new CudaBackend(KernelPath.MMA));
    backends.forEach(Cells::register);
    return backends;
  }

  @Override
  public DType dtype() {
    return DType.BF16;
  }

  @Override
  public DType operand() {
    return DType.BF16;
  }

  @Override
  public Ops open(int threads) {
    return CudaOps.create(CudaDevice.open(0), path, MemoryNeeds.NONE);
  }

  @Override
  public boolean made(Object object) {
    return object instanceof CudaTensor || object instanceof CudaRouting;
  }

  @Override
  public void setRow(Tensor tensor, int row, float[] values) {
    CudaTensor cuda = (CudaTensor) tensor;
    if (!cuda.isOperand()) {
      write(cuda.memory(), row * cuda.rowBytes(), Pointer.to(values), cuda.rowBytes());
      return;
    }
    short[] rounded = new short[values.length];
    for (int c = 0; c < values.length; c++) {
      rounded[c] = Bf16.of(values[c]);
    }
    write(cuda.memory(), row * cuda.rowBytes(), Pointer.to(rounded), cuda.rowBytes());
  }

  @Override
  public float[] row(Tensor tensor, int row) {
    CudaTensor cuda = (CudaTensor) tensor;
    float[] values = new float[tensor.columns()];
    if (!cuda.isOperand()) {
      read(cuda.memory(), row * cuda.rowBytes(), Pointer.to(values), cuda.rowBytes());
      return values;
    }
    short[] stored = new short[values.length];
    read(cuda.memory(), row * cuda.rowBytes(), Pointer.to(stored), cuda.rowBytes());
    for (int c = 0; c < values.length; c++) {
      values[c] = Float.intBitsToFloat(stored[c] << 16);
    }
    return values;
  }

  @Override
  public int expert(Routing routing, int t, int k) {
    int[] expert = new int[1];
    long at = (long) (t * routing.topK() + k) * Integer.BYTES;
    read(((CudaRouting) routing).chosen(), at, Pointer.to(expert), Integer.BYTES);
    return expert[0];
  }

  @Override
  public double weight(Routing routing, int t, int k) {
    float[] weight = new float[1];
    long at = (long) (t * routing.topK() + k) * Float.BYTES;
    read(((CudaRouting) routing).weights(), at, Pointer.to(weight), Float.BYTES);
    return weight[0];
  }

  private static void read(Memory from, long offset, Pointer to, long bytes) {
    // The operations' stream does not wait for others, nor they for it.
    Calls.check(JCudaDriver.cuCtxSynchronize(), "cuCtxSynchronize");
    Calls.check(
        JCudaDriver.cuMemcpyDtoH(to, from.buffer().at(from.offset() + offset), bytes),
        "cuMemcpyDtoH");
  }

  private static void write(Memory to, long offset, Pointer from, long bytes) {
    Calls.check(JCudaDriver.cuCtxSynchronize(), "cuCtxSynchronize");
    Calls.check(
        JCudaDriver.cuMemcpyHtoD(to.buffer().at(to.offset() + offset), from, bytes),
        "cuMemcpyHtoD");
    Calls.check(JCudaDriver.cuCtxSynchronize(), "cuCtxSynchronize");
  }

  @Override
  public String toString() {
    return "cuda " + path;
  }
}
