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
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * The products on tensor cores by {@code mma.sync} ({@code mma/product.cuh}), for weights of each
 * form and a few widths: tokens that a block takes. Bits do not depend on the width.
 */
final class MmaKernels {
  /** Tokens of a block. */
  enum Width {
    FEW(8),
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

  /** Rows up to which the wider blocks of a weight of few columns would be too few. */
  private static final int FEW_BLOCKS = 128;

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
    }
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

  /** For {@code n} rows that every weight is multiplied with, {@code blocks} of its columns. */
  private Width width(int n, int blocks) {
    if (n <= Width.FEW.tokens) {
      return Width.FEW;
    }
    boolean isSome = n <= Width.SOME.tokens || (n <= FEW_BLOCKS && blocks < multiprocessors);
    return isSome ? Width.SOME : Width.MANY;
  }

  /** A product of {@code n} rows. */
  void run(Product product, int n) {
    launch(product, width(n, blocks(product)), 0, null, n);
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
    WeightLayout layout = product.w().layout();
    Ring ring = ring(layout.form(), width);
    launcher
        .of(ring.kernel())
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
        .integer(ring.stages())
        .grid(
            blocks(product), tiles == null ? Products.tiles(rows, width.tokens) : tiles.count(), 1);
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
