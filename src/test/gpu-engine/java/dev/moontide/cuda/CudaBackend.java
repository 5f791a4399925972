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

/** The CUDA backend on the emulated device. */
final class CudaBackend implements Backend {
  static List<Backend> all() {
    Emulation.start();
    Emulation.configure();
    Backend backend = new CudaBackend();
    Cells.register(backend);
    return List.of(backend);
  }

  @Override
  public DType dtype() {
    return DType.BF16;
  }

  @Override
  public Ops open(int threads) {
    return CudaOps.create(CudaDevice.open(0), MemoryNeeds.NONE);
  }

  @Override
  public boolean made(Object object) {
    return object instanceof CudaTensor || object instanceof CudaRouting;
  }

  @Override
  public void setRow(Tensor tensor, int row, float[] values) {
    CudaTensor cuda = (CudaTensor) tensor;
    if (!cuda.isOperand()) {
      Emulation.write(cuda.address(row), values);
      return;
    }
    short[] rounded = new short[values.length];
    for (int c = 0; c < values.length; c++) {
      rounded[c] = Bf16.of(values[c]);
    }
    Emulation.write(cuda.address(row), rounded);
  }

  @Override
  public float[] row(Tensor tensor, int row) {
    CudaTensor cuda = (CudaTensor) tensor;
    if (!cuda.isOperand()) {
      return Emulation.floats(cuda.address(row), tensor.columns());
    }
    short[] stored = Emulation.shorts(cuda.address(row), tensor.columns());
    float[] values = new float[stored.length];
    for (int c = 0; c < values.length; c++) {
      values[c] = Float.intBitsToFloat(stored[c] << 16);
    }
    return values;
  }

  @Override
  public int expert(Routing routing, int t, int k) {
    long at = (long) (t * routing.topK() + k) * Integer.BYTES;
    return Float.floatToRawIntBits(
        Emulation.floats(((CudaRouting) routing).chosen().address() + at, 1)[0]);
  }

  @Override
  public double weight(Routing routing, int t, int k) {
    long at = (long) (t * routing.topK() + k) * Float.BYTES;
    return Emulation.floats(((CudaRouting) routing).weights().address() + at, 1)[0];
  }

  @Override
  public String toString() {
    return "cuda";
  }
}
