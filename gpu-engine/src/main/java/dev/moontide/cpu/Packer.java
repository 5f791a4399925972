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

import static dev.moontide.cpu.Dnnl.check;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_FROM;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_TO;
import static org.bytedeco.dnnl.global.dnnl.dnnl_memory_desc_destroy;
import static org.bytedeco.dnnl.global.dnnl.dnnl_memory_destroy;
import static org.bytedeco.dnnl.global.dnnl.dnnl_primitive_create;
import static org.bytedeco.dnnl.global.dnnl.dnnl_primitive_desc_destroy;
import static org.bytedeco.dnnl.global.dnnl.dnnl_primitive_destroy;
import static org.bytedeco.dnnl.global.dnnl.dnnl_primitive_execute;
import static org.bytedeco.dnnl.global.dnnl.dnnl_reorder_primitive_desc_create;
import static org.bytedeco.dnnl.global.dnnl.dnnl_stream_destroy;

import dev.moontide.cpu.vector.Bf16;
import dev.moontide.tensor.DType;
import dev.moontide.tensor.MatrixSource;
import java.util.Arrays;
import org.bytedeco.dnnl.dnnl_exec_arg_t;
import org.bytedeco.dnnl.dnnl_memory;
import org.bytedeco.dnnl.dnnl_memory_desc;
import org.bytedeco.dnnl.dnnl_primitive;
import org.bytedeco.dnnl.dnnl_primitive_desc;
import org.bytedeco.dnnl.dnnl_stream;

/**
 * Reads a matrix from its source and writes it in the layout of a product's right factor, a panel
 * at a time: at most one panel is held in float32. Used by one thread at a time.
 */
final class Packer implements AutoCloseable {
  private final Dnnl dnnl;
  private final dnnl_stream stream;
  private final Tile plain = new Tile();
  private float[] decoded = new float[0];
  private short[] rounded = new short[0];
  private short[] arranged = new short[0];

  Packer(Dnnl dnnl) {
    this.dnnl = dnnl;
    stream = dnnl.stream();
  }

  /** Packs the whole matrix at {@code address}. */
  void pack(MatrixSource source, Panels panels, long address) {
    for (int p = 0; p < panels.count(); p++) {
      packOutputs(source, panels.firstColumn(p), panels.product(p), address + panels.offset(p));
    }
  }

  /** Packs rows whose transpose is the product's right factor: the source's rows are outputs. */
  void packOutputs(MatrixSource source, int firstRow, Product product, long address) {
    MatmulShape shape = product.shape();
    read(source, firstRow, shape.columns(), shape);
    if (shape.widens()) {
      Arrangement.columns(shape.page(), rounded, arranged(shape));
      putArranged(shape, address);
    } else {
      reorder(product, true, address);
    }
  }

  /** Packs rows that are the product's right factor as they stand: the source's rows are inputs. */
  void packInputs(MatrixSource source, int firstRow, Product product, long address) {
    MatmulShape shape = product.shape();
    read(source, firstRow, shape.inner(), shape);
    if (shape.widens()) {
      Arrangement.rows(shape.page(), rounded, arranged(shape));
      putArranged(shape, address);
    } else {
      reorder(product, false, address);
    }
  }

  /** Room for a right factor of {@code shape}, zeros in its padding. */
  private short[] arranged(MatmulShape shape) {
    int n = shape.page().elements();
    if (arranged.length < n) {
      arranged = new short[n];
    } else {
      Arrays.fill(arranged, 0, n, (short) 0);
    }
    return arranged;
  }

  private void putArranged(MatmulShape shape, long address) {
    PageLayout page = shape.page();
    Address.view(address, page.bytes()).asShortBuffer().put(0, arranged, 0, page.elements());
  }

  /** Reads rows and rounds them to what {@code shape} stores. */
  private void read(MatrixSource source, int first, int count, MatmulShape shape) {
    int n = Math.multiplyExact(count, source.columns());
    if (decoded.length < n) {
      decoded = new float[n];
    }
    source.read(first, count, decoded, 0);
    if (shape.arithmetic().stored() == DType.BF16) {
      if (rounded.length < n) {
        rounded = new short[n];
      }
      Bf16.fromFloats(decoded, 0, rounded, 0, n);
    }
  }

  /** Puts what was read into the plain tile. */
  private void stage(MatmulShape shape) {
    int n = shape.inner() * shape.columns();
    plain.reserve((long) n * shape.weight().bytes());
    switch (shape.weight()) {
      case BF16 -> plain.shorts().put(0, rounded, 0, n);
      case F32 -> {
        if (shape.arithmetic().stored() == DType.BF16) {
          Bf16.toFloats(rounded, 0, decoded, 0, n);
        }
        plain.floats().put(0, decoded, 0, n);
      }
    }
  }

  /** Packs what was read, whose inputs or outputs lie side by side, slice by slice. */
  private void reorder(Product product, boolean inputsTogether, long address) {
    MatmulShape shape = product.shape();
    stage(shape);
    long from = plain.address();
    long to = address;
    for (int i = 0; i < product.slices(); i++) {
      MatmulKernel slice = product.slice(i);
      int inner = slice.shape().inner();
      dnnl_memory_desc plainDescription =
          inputsTogether
              ? Dnnl.strided(shape.weight(), inner, shape.columns(), 1, shape.inner())
              : Dnnl.strided(shape.weight(), inner, shape.columns(), shape.columns(), 1);
      reorder(plainDescription, from, slice.weight(), to);
      dnnl_memory_desc_destroy(plainDescription);
      from += (long) inner * (inputsTogether ? 1 : shape.columns()) * shape.weight().bytes();
      to += slice.weightBytes();
    }
  }

  private void reorder(
      dnnl_memory_desc plainDescription, long source, dnnl_memory_desc packed, long target) {
    dnnl_primitive_desc description = new dnnl_primitive_desc();
    check(
        dnnl_reorder_primitive_desc_create(
            description, plainDescription, dnnl.engine(), packed, dnnl.engine(), null),
        "packing of a weight");
    dnnl_primitive primitive = new dnnl_primitive();
    check(dnnl_primitive_create(primitive, description), "packing of a weight");
    dnnl_memory from = dnnl.memory(plainDescription, source);
    dnnl_memory to = dnnl.memory(packed, target);
    try (dnnl_exec_arg_t arguments = new dnnl_exec_arg_t(2)) {
      arguments.position(0).arg(DNNL_ARG_FROM).memory(from);
      arguments.position(1).arg(DNNL_ARG_TO).memory(to);
      arguments.position(0);
      check(dnnl_primitive_execute(primitive, stream, 2, arguments), "packing of a weight");
    }
    dnnl_memory_destroy(from);
    dnnl_memory_destroy(to);
    dnnl_primitive_destroy(primitive);
    dnnl_primitive_desc_destroy(description);
  }

  @Override
  public void close() {
    plain.close();
    dnnl_stream_destroy(stream);
  }
}
