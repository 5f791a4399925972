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
package dev.moontide.cpu;

import dev.moontide.cpu.vector.Bf16;
import dev.moontide.tensor.Backend;
import dev.moontide.tensor.Cells;
import dev.moontide.tensor.DType;
import dev.moontide.tensor.Ops;
import dev.moontide.tensor.Routing;
import dev.moontide.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;

/** The CPU backend in one of the types it computes in. */
record CpuBackend(Arithmetic arithmetic) implements Backend {
  /** All this CPU can compute with: native bf16 where it has it, the others everywhere. */
  static List<Arithmetic> arithmetics() {
    List<Arithmetic> all = new ArrayList<>(List.of(Arithmetic.F32, Arithmetic.WIDENED));
    try (Dnnl dnnl = new Dnnl()) {
      if (NativeBf16.available(dnnl)) {
        all.add(Arithmetic.BF16);
      }
    }
    return all;
  }

  /** In each of them. */
  static List<Backend> all() {
    List<Backend> all = new ArrayList<>();
    arithmetics().forEach(arithmetic -> all.add(new CpuBackend(arithmetic)));
    all.forEach(Cells::register);
    return all;
  }

  @Override
  public DType dtype() {
    return arithmetic.stored();
  }

  @Override
  public DType operand() {
    return arithmetic.operand();
  }

  @Override
  public Ops open(int threads) {
    return CpuOps.create(arithmetic, threads);
  }

  @Override
  public boolean made(Object object) {
    return object instanceof FloatTensor
        || object instanceof NativeTensor
        || object instanceof TokenRouting;
  }

  @Override
  public void setRow(Tensor tensor, int row, float[] values) {
    int at = row * tensor.columns();
    if (tensor instanceof FloatTensor floats) {
      System.arraycopy(values, 0, floats.values, at, values.length);
      return;
    }
    NativeTensor to = (NativeTensor) tensor;
    for (int c = 0; c < values.length; c++) {
      if (to.type() == DType.BF16) {
        to.shorts().put(at + c, Bf16.fromFloat(values[c]));
      } else {
        to.floats().put(at + c, values[c]);
      }
    }
  }

  @Override
  public float[] row(Tensor tensor, int row) {
    float[] values = new float[tensor.columns()];
    int at = row * tensor.columns();
    for (int c = 0; c < values.length; c++) {
      values[c] =
          tensor instanceof FloatTensor floats
              ? floats.values[at + c]
              : element((NativeTensor) tensor, at + c);
    }
    return values;
  }

  private static float element(NativeTensor tensor, int index) {
    return tensor.type() == DType.BF16
        ? Bf16.toFloat(tensor.shorts().get(index))
        : tensor.floats().get(index);
  }

  @Override
  public int expert(Routing routing, int t, int k) {
    return ((TokenRouting) routing).experts[t * routing.topK() + k];
  }

  @Override
  public double weight(Routing routing, int t, int k) {
    return ((TokenRouting) routing).weights[t * routing.topK() + k];
  }
}
