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
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_DST;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_SCRATCHPAD;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_SRC;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_WEIGHTS;
import static org.bytedeco.dnnl.global.dnnl.dnnl_memory_destroy;
import static org.bytedeco.dnnl.global.dnnl.dnnl_memory_set_data_handle;
import static org.bytedeco.dnnl.global.dnnl.dnnl_primitive_execute;
import static org.bytedeco.dnnl.global.dnnl.dnnl_stream_destroy;

import java.util.Arrays;
import org.bytedeco.dnnl.dnnl_exec_arg_t;
import org.bytedeco.dnnl.dnnl_memory;
import org.bytedeco.dnnl.dnnl_primitive;
import org.bytedeco.dnnl.dnnl_stream;
import org.jspecify.annotations.Nullable;

/**
 * What one thread needs to run matrix products: a stream, native tiles for rows on their way in and
 * out, and the arguments of every primitive it has used. Only its own thread touches it, but for
 * the counter.
 */
final class Lane implements AutoCloseable {
  /** A remainder this small costs almost as much as this many rows, so calls avoid it. */
  private static final int SMALL = 4;

  private static final boolean[] CALL_SIZES = new boolean[MatmulKernel.MAX_ROWS + 1];

  static {
    Arrays.fill(CALL_SIZES, 1, 17, true);
    for (int rows : new int[] {20, 24, 28, 32, 40, 48, 56, 64}) {
      CALL_SIZES[rows] = true;
    }
  }

  /** Rows a padded call computes at most beyond those asked for. */
  static final int MOST_PADDING = 7;

  /** Rows on their way into a product. */
  final Tile source = new Tile();

  /** Rows a product has computed. */
  final Tile target = new Tile();

  private final Dnnl dnnl;
  private final dnnl_stream stream;
  private final NativeMemory memory = new NativeMemory();
  private @Nullable Binding[][] bindings = new @Nullable Binding[16][];
  private float[] floats = new float[0];
  private float[] scratch = new float[0];
  private short[] shorts = new short[0];
  private volatile long productNanos;

  Lane(Dnnl dnnl) {
    this.dnnl = dnnl;
    stream = dnnl.stream();
  }

  /** At least {@code n} floats on the heap, holding anything. */
  float[] floats(int n) {
    if (floats.length < n) {
      floats = new float[n];
    }
    return floats;
  }

  /** At least {@code n} more floats on the heap, holding anything. */
  float[] scratch(int n) {
    if (scratch.length < n) {
      scratch = new float[n];
    }
    return scratch;
  }

  /** At least {@code n} shorts on the heap, holding anything. */
  short[] shorts(int n) {
    if (shorts.length < n) {
      shorts = new short[n];
    }
    return shorts;
  }

  /** Time spent inside matrix products so far. */
  long productNanos() {
    return productNanos;
  }

  /**
   * Computes up to {@link MatmulKernel#MAX_ROWS} rows of a product, in calls of sizes that leave
   * every row its own bits.
   */
  void multiply(Product product, int rows, long from, long weight, long to) {
    run(product, rows, from, weight, to, false);
  }

  /**
   * The same in one call, where that leaves every row its own bits, by computing a few rows more:
   * {@link #paddedRows} rows of the left factor are read and as many of the result written.
   */
  void multiplyPadded(Product product, int rows, long from, long weight, long to) {
    run(product, rows, from, weight, to, true);
  }

  /** Rows there must be room for where {@code rows} are multiplied by padded calls. */
  static int paddedRows(int rows) {
    int padded = rows;
    while (padded < CALL_SIZES.length && !CALL_SIZES[padded]) {
      padded++;
    }
    return padded;
  }

  private void run(Product product, int rows, long from, long weight, long to, boolean padded) {
    long start = System.nanoTime();
    long source = from;
    long slice = weight;
    for (int i = 0; i < product.slices(); i++) {
      MatmulKernel kernel = product.slice(i);
      multiply(kernel, rows, source, slice, to, padded);
      source += (long) kernel.shape().inner() * kernel.shape().source().bytes();
      slice += kernel.weightBytes();
    }
    addNanos(System.nanoTime() - start);
  }

  private void multiply(
      MatmulKernel kernel, int rows, long from, long weight, long to, boolean padded) {
    MatmulShape shape = kernel.shape();
    int done = 0;
    while (done < rows) {
      int call = padded ? paddedSize(kernel, rows - done) : callSize(kernel, rows - done);
      execute(
          kernel,
          call,
          from + (long) done * shape.sourceStride() * shape.source().bytes(),
          weight,
          to + (long) done * shape.targetStride() * shape.target().bytes());
      done += call;
    }
  }

  /** The one writer of the counter is this lane's thread. */
  @SuppressWarnings("NonAtomicVolatileUpdate")
  private void addNanos(long nanos) {
    productNanos += nanos;
  }

  /** The largest usable call of at most {@code rows} rows that leaves none or not too few. */
  private int callSize(MatmulKernel kernel, int rows) {
    for (int call = rows; call > 0; call--) {
      int rest = rows - call;
      if (CALL_SIZES[call] && (rest == 0 || rest >= SMALL) && usable(kernel, call)) {
        return call;
      }
    }
    return 1;
  }

  /** The call of all {@code rows} rows and the fewest more, or else as many as can be. */
  private int paddedSize(MatmulKernel kernel, int rows) {
    int padded = paddedRows(rows);
    return usable(kernel, padded) ? padded : callSize(kernel, rows);
  }

  private boolean usable(MatmulKernel kernel, int rows) {
    return known(kernel, rows) != null || (kernel.worthPreparing(rows) && kernel.invariant(rows));
  }

  private @Nullable Binding known(MatmulKernel kernel, int rows) {
    int index = kernel.index();
    if (index >= bindings.length) {
      return null;
    }
    @Nullable Binding[] ofKernel = bindings[index];
    return ofKernel == null ? null : ofKernel[rows];
  }

  /** Runs one primitive of exactly {@code rows} rows. */
  void execute(MatmulKernel kernel, int rows, long from, long weight, long to) {
    Binding binding = known(kernel, rows);
    if (binding == null) {
      binding = bind(kernel, rows);
    }
    binding.run(from, weight, to);
  }

  private Binding bind(MatmulKernel kernel, int rows) {
    int index = kernel.index();
    if (index >= bindings.length) {
      bindings = Arrays.copyOf(bindings, Math.max(index + 1, 2 * bindings.length));
    }
    @Nullable Binding[] ofKernel = bindings[index];
    if (ofKernel == null) {
      ofKernel = new @Nullable Binding[MatmulKernel.MAX_ROWS + 1];
      bindings[index] = ofKernel;
    }
    Binding binding = new Binding(kernel.prepare(rows));
    ofKernel[rows] = binding;
    return binding;
  }

  @Override
  public void close() {
    for (@Nullable Binding[] ofKernel : bindings) {
      if (ofKernel != null) {
        for (Binding binding : ofKernel) {
          if (binding != null) {
            binding.close();
          }
        }
      }
    }
    bindings = new @Nullable Binding[0][];
    dnnl_stream_destroy(stream);
    source.close();
    target.close();
    memory.close();
  }

  /** A primitive with this lane's memory objects; addresses are set where they changed. */
  private final class Binding implements AutoCloseable {
    private final dnnl_primitive primitive;
    private final dnnl_memory from;
    private final dnnl_memory weight;
    private final dnnl_memory to;
    private final dnnl_memory scratch;
    private final dnnl_exec_arg_t arguments = new dnnl_exec_arg_t(4);
    private final Address address = new Address();
    private long fromAddress;
    private long weightAddress;
    private long toAddress;

    Binding(MatmulKernel.Prepared prepared) {
      primitive = prepared.primitive();
      from = dnnl.memory(prepared.source(), 0);
      weight = dnnl.memory(prepared.weight(), 0);
      to = dnnl.memory(prepared.target(), 0);
      scratch =
          dnnl.memory(
              prepared.scratchpad(),
              memory.allocate(prepared.scratchpadBytes(), "a product's scratchpad"));
      arguments.position(0).arg(DNNL_ARG_SRC).memory(from);
      arguments.position(1).arg(DNNL_ARG_WEIGHTS).memory(weight);
      arguments.position(2).arg(DNNL_ARG_DST).memory(to);
      arguments.position(3).arg(DNNL_ARG_SCRATCHPAD).memory(scratch);
      arguments.position(0);
    }

    void run(long newFrom, long newWeight, long newTo) {
      if (fromAddress != newFrom) {
        fromAddress = point(from, newFrom);
      }
      if (weightAddress != newWeight) {
        weightAddress = point(weight, newWeight);
      }
      if (toAddress != newTo) {
        toAddress = point(to, newTo);
      }
      check(dnnl_primitive_execute(primitive, stream, 4, arguments), "matrix product");
    }

    private long point(dnnl_memory one, long value) {
      check(dnnl_memory_set_data_handle(one, address.set(value)), "memory");
      return value;
    }

    @Override
    public void close() {
      dnnl_memory_destroy(from);
      dnnl_memory_destroy(weight);
      dnnl_memory_destroy(to);
      dnnl_memory_destroy(scratch);
      arguments.close();
    }
  }
}
