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

import dev.moontide.api.MoontideException;
import dev.moontide.tensor.Attention;
import dev.moontide.tensor.MatrixSource;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.function.Consumer;

/** Packs weights, from as many threads as like to load. */
final class WeightLoader implements AutoCloseable {
  private final Dnnl dnnl;
  private final MatmulKernels kernels;
  private final NativeMemory memory;
  private final Arithmetic arithmetic;

  /** Packers no thread is using. */
  private final ConcurrentLinkedQueue<Packer> idle = new ConcurrentLinkedQueue<>();

  WeightLoader(Dnnl dnnl, MatmulKernels kernels, NativeMemory memory, Arithmetic arithmetic) {
    this.dnnl = dnnl;
    this.kernels = kernels;
    this.memory = memory;
    this.arithmetic = arithmetic;
  }

  PackedWeight matrix(MatrixSource source) {
    return pack(source, Panels.joined(kernels, arithmetic, source.rows(), source.columns()));
  }

  /** Whose products go to the heap by a tile. */
  PackedWeight head(MatrixSource source) {
    return pack(source, Panels.separate(kernels, arithmetic, source.rows(), source.columns()));
  }

  PackedWeight floatMatrix(MatrixSource source) {
    return pack(source, Panels.joined(kernels, Arithmetic.F32, source.rows(), source.columns()));
  }

  private PackedWeight pack(MatrixSource source, Panels panels) {
    long address = memory.allocate(panels.bytes(), source.name());
    withPacker(packer -> packer.pack(source, panels, address));
    return new PackedWeight(panels, address);
  }

  LatentWeight latentProjection(MatrixSource source, Attention attention) {
    int headRows = attention.nopeDim() + attention.valueDim();
    checkShape(source, attention.heads() * headRows, attention.latentDim());
    LatentWeight weight = new LatentWeight(kernels, memory, arithmetic, attention, source.name());
    withPacker(
        packer -> {
          for (int head = 0; head < attention.heads(); head++) {
            int row = head * headRows;
            packer.packInputs(source, row, weight.absorb(), weight.absorbAddress(head));
            packer.packOutputs(
                source, row + attention.nopeDim(), weight.value(), weight.valueAddress(head));
          }
        });
    return weight;
  }

  ExpertWeights experts(List<MatrixSource> gateUp, List<MatrixSource> down) {
    int hidden = gateUp.get(0).columns();
    int intermediate = down.get(0).columns();
    Panels first = Panels.joined(kernels, arithmetic, 2 * intermediate, hidden);
    Panels second = Panels.joined(kernels, arithmetic, hidden, intermediate);
    long bytes = gateUp.size() * ExpertWeights.expertBytes(first, second);
    ExpertWeights experts =
        new ExpertWeights(
            first, second, gateUp.size(), memory.allocate(bytes, gateUp.get(0).name()));
    withPacker(
        packer -> {
          for (int e = 0; e < experts.count(); e++) {
            checkShape(gateUp.get(e), 2 * intermediate, hidden);
            checkShape(down.get(e), hidden, intermediate);
            packer.pack(gateUp.get(e), first, experts.gateUpAddress(e));
            packer.pack(down.get(e), second, experts.downAddress(e));
          }
        });
    return experts;
  }

  private static void checkShape(MatrixSource source, int rows, int columns) {
    if (source.rows() != rows || source.columns() != columns) {
      throw MoontideException.checkpoint(
          "%s is [%d, %d], expected [%d, %d]",
          source.name(), source.rows(), source.columns(), rows, columns);
    }
  }

  private void withPacker(Consumer<Packer> work) {
    Packer taken = idle.poll();
    Packer packer = taken == null ? new Packer(dnnl) : taken;
    try {
      work.accept(packer);
    } finally {
      idle.add(packer);
    }
  }

  /** Frees what loading needed; weights stay. */
  @Override
  public void close() {
    idle.forEach(Packer::close);
    idle.clear();
  }
}
