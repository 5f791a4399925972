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
import java.util.List;

/**
 * A weight's form and sizes on the device.
 *
 * @param split FP8: first row of the second of two stacked matrices, whose blocks begin anew there;
 *     all rows if there is one
 * @param blockRows FP8: rows of a scale's block, whose columns are {@link #BLOCK_COLUMNS}
 * @param group INT4: columns of a scale
 */
record WeightLayout(WeightForm form, int rows, int columns, int split, int blockRows, int group) {
  /** Columns of an FP8 block that kernels take: those of one scale of the activations. */
  static final int BLOCK_COLUMNS = 128;

  /** The form in which {@code source} is multiplied: its own where kernels take it, else bf16. */
  static WeightLayout of(MatrixSource source) {
    List<MatrixSource> parts = source.parts();
    Encoding encoding = parts.get(0).encoding();
    boolean uniform = parts.stream().allMatch(part -> part.encoding().equals(encoding));
    if (uniform
        && parts.size() <= 2
        && encoding instanceof Encoding.BlockFp8 block
        && block.blockColumns() == BLOCK_COLUMNS) {
      return new WeightLayout(
          WeightForm.FP8,
          source.rows(),
          source.columns(),
          parts.get(0).rows(),
          block.blockRows(),
          0);
    }
    if (uniform && encoding instanceof Encoding.GroupInt4 int4) {
      return new WeightLayout(
          WeightForm.INT4, source.rows(), source.columns(), source.rows(), 0, int4.group());
    }
    return of(source, WeightForm.BF16);
  }

  /** {@code source} as bf16 or float32. */
  static WeightLayout of(MatrixSource source, WeightForm form) {
    return new WeightLayout(form, source.rows(), source.columns(), source.rows(), 0, 0);
  }

  /** The layout all of {@code sources}, of equal shape, share: their own or, if unlike, bf16. */
  static WeightLayout common(List<MatrixSource> sources) {
    WeightLayout first = of(sources.get(0));
    boolean equal = sources.stream().allMatch(source -> of(source).equals(first));
    return equal ? first : of(sources.get(0), WeightForm.BF16);
  }

  /** Numbers of one. */
  long elements() {
    return (long) rows * columns;
  }

  long valueBytes() {
    return elements() * form.bits() / 8;
  }

  /** Scales of one row of scales. */
  int scaleColumns() {
    return switch (form) {
      case FP8 -> ceil(columns, BLOCK_COLUMNS);
      case INT4 -> ceil(columns, group);
      case BF16, FLOAT -> 0;
    };
  }

  /** Rows of scales of the first {@code above} rows of a stacked matrix, or of all of another. */
  int scaleRows(int above) {
    return switch (form) {
      case FP8 -> ceil(above, blockRows);
      case INT4 -> above;
      case BF16, FLOAT -> 0;
    };
  }

  /** Scales of one. */
  long scales() {
    return (long) (scaleRows(split) + scaleRows(rows - split)) * scaleColumns();
  }

  /** What {@code count} of them take in an {@link Arena}. */
  long arenaBytes(int count) {
    long scales = scales() == 0 ? 0 : Arena.rounded(count * scales() * Float.BYTES);
    return Arena.rounded(count * valueBytes()) + scales;
  }

  private static int ceil(int size, int block) {
    return (size + block - 1) / block;
  }
}
