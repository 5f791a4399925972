package dev.moontide.cpu;

import dev.moontide.api.EngineOptions.Precision;
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
record CpuBackend(Precision precision) implements Backend {
  /** In every type this CPU computes natively. */
  static List<Backend> all() {
    List<Backend> all = new ArrayList<>(List.of(new CpuBackend(Precision.F32)));
    try (CpuOps best = CpuOps.create(Precision.AUTO, 1)) {
      if (best.dtype() == DType.BF16) {
        all.add(new CpuBackend(Precision.BF16));
      }
    }
    all.forEach(Cells::register);
    return all;
  }

  @Override
  public DType dtype() {
    return precision == Precision.BF16 ? DType.BF16 : DType.F32;
  }

  @Override
  public Ops open(int threads) {
    return CpuOps.create(precision, threads);
  }

  @Override
  public boolean made(Object object) {
    return object instanceof FloatTensor
        || object instanceof Bf16Tensor
        || object instanceof TokenRouting;
  }

  @Override
  public void setRow(Tensor tensor, int row, float[] values) {
    int at = row * tensor.columns();
    if (tensor instanceof FloatTensor floats) {
      System.arraycopy(values, 0, floats.values, at, values.length);
    } else {
      for (int c = 0; c < values.length; c++) {
        ((Bf16Tensor) tensor).values[at + c] = Bf16.fromFloat(values[c]);
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
              : Bf16.toFloat(((Bf16Tensor) tensor).values[at + c]);
    }
    return values;
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
