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

import dev.moontide.tensor.Encoding;
import dev.moontide.tensor.MatrixSource;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * The products on tensor cores by {@code mma.sync} ({@code mma/product.cuh}), for weights of each
 * form and a few widths: tokens that a block takes. Few tokens and columns have kernels of their
 * own ({@code mma/narrow.cuh}). Bits depend on neither.
 */
final class MmaKernels {
  /** Tokens of a block. */
  enum Width {
    FEW(8),
    SEVERAL(16),
    SOME(32),
    MANY(64);

    final int tokens;

    Width(int tokens) {
      this.tokens = tokens;
    }
  }

  private static final int THREADS = 128;

  /** Stages of a ring where shared memory holds them: more would leave room for fewer blocks. */
  private static final int MAX_STAGES = 3;

  private static final int NARROW_THREADS = 256;
  private static final int NARROW_COLUMNS = 16;

  /** Tokens of a block of few columns, where there are more than fit {@link Width#FEW}. */
  private static final int NARROW_TOKENS = 32;

  /** Inputs of a row that they take are a multiple of this. */
  private static final int NARROW_INPUTS = 8;

  /** Output columns of a block, and of one that gates. */
  private static final int COLUMNS = 128;

  private static final int GATED_COLUMNS = 64;

  /** Inputs of an INT4 scale are a multiple of this, or all. */
  private static final int GROUP = 32;

  /** A kernel and the stages of its ring. */
  private record Ring(Kernel kernel, int stages) {}

  private final Launcher launcher;
  private final int multiprocessors;
  private final Map<WeightForm, Map<Width, Ring>> rings = new EnumMap<>(WeightForm.class);
  private final Map<WeightForm, List<Kernel>> narrow = new EnumMap<>(WeightForm.class);

  MmaKernels(Execution run, Kernels kernels) {
    launcher = run.launcher;
    multiprocessors = run.device.multiprocessors();
    for (WeightForm form : new WeightForm[] {WeightForm.BF16, WeightForm.FP8, WeightForm.INT4}) {
      Map<Width, Ring> widths = new EnumMap<>(Width.class);
      for (Width width : Width.values()) {
        int stage = stageBytes(form, width.tokens);
        int stages = Math.max(2, Math.min(MAX_STAGES, run.device.maxSharedBytes() / stage));
        String name = "mma_" + form.kernelName() + "_" + width.tokens;
        widths.put(width, new Ring(kernels.kernel(name, THREADS, stages * stage), stages));
      }
      rings.put(form, widths);
      narrow.put(
          form,
          List.of(
              narrow(kernels, form, "", 1, 1),
              narrow(kernels, form, "", NARROW_TOKENS / 8, 1),
              narrow(kernels, form, "gated_", 1, 2),
              narrow(kernels, form, "gated_", NARROW_TOKENS / 8, 2)));
    }
  }

  /**
   * The kernel of blocks of {@code tiles} of 8 tokens and as many {@code bands} of columns; the
   * shared memory is that of {@code Narrow} in {@code mma/narrow.cuh}.
   */
  private static Kernel narrow(
      Kernels kernels, WeightForm form, String gated, int tiles, int bands) {
    int spans = form == WeightForm.INT4 ? 4 : 1;
    int size = spans * tiles * bands;
    int together = size == 1 ? 4 : size < 8 ? 2 : 1;
    int scales = form == WeightForm.BF16 ? 0 : spans * bands * NARROW_COLUMNS;
    int slots = NARROW_THREADS / 32 * together;
    int bytes = slots * (size * NARROW_COLUMNS * 8 + scales) * Float.BYTES;
    String name = "mma_" + form.kernelName() + "_narrow_" + gated + 8 * tiles;
    return kernels.kernel(name, NARROW_THREADS, bytes);
  }

  /** Shared memory of a stage: 128 rows of weights and their scales, and tokens in bf16. */
  private static int stageBytes(WeightForm form, int tokens) {
    int depth = form == WeightForm.BF16 ? 64 : 128;
    int scales = form == WeightForm.INT4 ? depth / GROUP * Float.BYTES : 0;
    return COLUMNS * (depth * form.bits() / 8 + scales) + tokens * depth * Short.BYTES;
  }

  /** Why the kernels do not take {@code source}; empty if they do. */
  static Optional<String> refusal(MatrixSource source) {
    return source.parts().stream()
        .filter(
            part ->
                part.encoding() instanceof Encoding.GroupInt4 int4
                    && int4.group() % GROUP != 0
                    && int4.group() < part.columns())
        .map(
            part ->
                "%s is INT4 in groups of %d, and they are for multiples of %d"
                    .formatted(part.name(), ((Encoding.GroupInt4) part.encoding()).group(), GROUP))
        .findFirst();
  }

  /**
   * What a product does.
   *
   * @param isGated whether {@code out} is {@code silu(gate x) ⊙ (up x)} in bf16; else it is float32
   * @param add whether to add to {@code out}
   */
  record Product(long x, CudaWeight w, long out, int outStride, boolean isGated, boolean add) {
    int columns() {
      return isGated ? w.rows() / 2 : w.rows();
    }
  }

  /**
   * For {@code n} rows that every weight is multiplied with, {@code blocks} of its columns: the
   * fewest tokens a block that take all rows, or of which all blocks still run at once.
   */
  private Width width(int n, int blocks) {
    for (Width width : Width.values()) {
      int perMultiprocessor = width == Width.FEW ? 1 : 2;
      if (n <= width.tokens
          || (long) blocks * Products.tiles(n, width.tokens)
              <= (long) perMultiprocessor * multiprocessors) {
        return width;
      }
    }
    return Width.MANY;
  }

  /** Whether blocks of few columns are faster; measured on 132 multiprocessors. */
  private boolean isNarrow(Product product, int n) {
    int blocks = blocks(product);
    boolean leavesSomeIdle =
        n <= Width.FEW.tokens
            ? 2 * blocks <= multiprocessors
            : 7 * blocks * Products.tiles(n, NARROW_TOKENS) <= 2 * multiprocessors;
    return n <= 2 * NARROW_TOKENS
        && leavesSomeIdle
        && product.w().layout().columns() % NARROW_INPUTS == 0;
  }

  /** A product of {@code n} rows. */
  void run(Product product, int n) {
    if (isNarrow(product, n)) {
      int wide = n > Width.FEW.tokens ? 1 : 0;
      List<Kernel> kernels = Objects.requireNonNull(narrow.get(product.w().layout().form()));
      arguments(product, kernels.get((product.isGated() ? 2 : 0) + wide), 0, null, n, 0)
          .grid(
              Products.tiles(product.columns(), NARROW_COLUMNS),
              Products.tiles(n, wide == 1 ? NARROW_TOKENS : Width.FEW.tokens),
              1);
    } else {
      launch(product, width(n, blocks(product)), 0, null, n);
    }
  }

  private static int blocks(Product product) {
    return Products.tiles(product.columns(), product.isGated() ? GATED_COLUMNS : COLUMNS);
  }

  /**
   * A product of places with the weights of their experts.
   *
   * @param source row of {@code x} of each place; 0 if it is the place
   */
  void runGrouped(Product product, Width width, long source, PairOrder.Tiles tiles) {
    launch(product, width, source, tiles, 0);
  }

  private void launch(
      Product product, Width width, long source, PairOrder.@Nullable Tiles tiles, int rows) {
    Ring ring = ring(product.w().layout().form(), width);
    arguments(product, ring.kernel(), source, tiles, rows, ring.stages())
        .grid(
            blocks(product), tiles == null ? Products.tiles(rows, width.tokens) : tiles.count(), 1);
  }

  private Launcher arguments(
      Product product,
      Kernel kernel,
      long source,
      PairOrder.@Nullable Tiles tiles,
      int rows,
      int stages) {
    WeightLayout layout = product.w().layout();
    return launcher
        .of(kernel)
        .pointer(product.x())
        .pointer(product.w().values())
        .pointer(product.w().scales())
        .pointer(product.out())
        .pointer(source)
        .pointer(tiles == null ? 0 : tiles.expert().address())
        .pointer(tiles == null ? 0 : tiles.row().address())
        .pointer(tiles == null ? 0 : tiles.end().address())
        .wide(layout.valueBytes())
        .wide(layout.scales())
        .wide(layout.columns())
        .wide(product.outStride())
        .wide(0)
        .wide(0)
        .wide(0)
        .integer(rows)
        .integer(product.columns())
        .integer(layout.columns())
        .integer(layout.split())
        .integer(layout.blockRows())
        .integer(layout.group())
        .flag(product.isGated())
        .flag(product.isGated())
        .flag(product.add())
        .integer(stages);
  }

  /**
   * Products of matrices side by side, all of bf16: {@code x} is [rows, count, depth], {@code w}
   * [count, columns, depth], {@code out} [rows, count, outStride].
   */
  record Batch(long x, int depth, long w, long out, int outStride) {}

  /** {@code count} products of {@code n} rows to {@code columns}. */
  void runBatch(Batch batch, int count, int columns, int n) {
    int blocks = Products.tiles(columns, COLUMNS);
    Width width = width(n, blocks * count);
    Ring ring = ring(WeightForm.BF16, width);
    int depth = batch.depth();
    launcher
        .of(ring.kernel())
        .pointer(batch.x())
        .pointer(batch.w())
        .pointer(0)
        .pointer(batch.out())
        .pointer(0)
        .pointer(0)
        .pointer(0)
        .pointer(0)
        .wide(0)
        .wide(0)
        .wide((long) count * depth)
        .wide((long) count * batch.outStride())
        .wide(depth)
        .wide((long) columns * depth * Short.BYTES)
        .wide(batch.outStride())
        .integer(n)
        .integer(columns)
        .integer(depth)
        .integer(columns)
        .integer(0)
        .integer(0)
        .flag(false)
        .flag(true)
        .flag(false)
        .integer(ring.stages())
        .grid(blocks, Products.tiles(n, width.tokens), count);
  }

  private Ring ring(WeightForm form, Width width) {
    return Objects.requireNonNull(
        Objects.requireNonNull(rings.get(form), form.kernelName()).get(width));
  }
}
