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

import dev.moontide.api.MoontideException;
import dev.moontide.tensor.Encoding;
import dev.moontide.tensor.MatrixSource;
import java.nio.ByteBuffer;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Brings matrices to the device: bytes as their file holds them where the form is the file's, else
 * converted on the way. Safe for concurrent use by threads bound to the device.
 */
final class WeightUpload {
  /** Numbers converted at a time: they stay in the processor's cache. */
  private static final int CONVERTED = 1 << 14;

  private final Arena arena;
  private final Staging staging;
  private final @Nullable NanSearch search;

  /**
   * @param search looks at weights in FP8; null where kernels keep NaN
   */
  WeightUpload(Arena arena, Staging staging, @Nullable NanSearch search) {
    this.arena = arena;
    this.staging = staging;
    this.search = search;
  }

  CudaWeight upload(MatrixSource source, WeightLayout layout) {
    return upload(List.of(source), layout);
  }

  /** Brings {@code sources}, all of the shape of {@code layout}, one after the other. */
  CudaWeight upload(List<MatrixSource> sources, WeightLayout layout) {
    Memory values = arena.allocate(sources.size() * layout.valueBytes());
    long scaleBytes = layout.scales() * Float.BYTES;
    Memory scales =
        scaleBytes == 0
            ? new Memory(values.buffer(), 0, 0)
            : arena.allocate(sources.size() * scaleBytes);
    Staging.Pieces pieces = staging.pieces();
    for (int i = 0; i < sources.size(); i++) {
      checkShape(sources.get(i), layout);
      long valueAt = i * layout.valueBytes();
      long scaleAt = i * scaleBytes;
      for (MatrixSource part : sources.get(i).parts()) {
        valueAt = values(pieces, part, layout, values, valueAt);
        scaleAt = scales(pieces, part, layout, scales, scaleAt);
      }
    }
    pieces.await();
    if (search != null && layout.form() == WeightForm.FP8) {
      search.look(sources, values, sources.size() * layout.valueBytes());
    }
    return new CudaWeight(layout, values, scales);
  }

  private static void checkShape(MatrixSource source, WeightLayout layout) {
    if (source.rows() != layout.rows() || source.columns() != layout.columns()) {
      throw MoontideException.checkpoint(
          "%s is [%d, %d], expected [%d, %d]",
          source.name(), source.rows(), source.columns(), layout.rows(), layout.columns());
    }
  }

  private static long values(
      Staging.Pieces pieces, MatrixSource part, WeightLayout layout, Memory to, long offset) {
    int rowBytes = Math.toIntExact((long) layout.columns() * layout.form().bits() / 8);
    int most = rowsAtOnce(part, rowBytes);
    boolean stored =
        switch (layout.form()) {
          case FP8, INT4 -> true;
          case BF16 -> part.encoding() instanceof Encoding.Bf16;
          case FLOAT -> false;
        };
    long at = offset;
    for (int first = 0; first < part.rows(); first += most) {
      int count = Math.min(most, part.rows() - first);
      int from = first;
      pieces.send(
          to,
          at,
          target -> {
            if (stored) {
              part.copy(from, count, target);
            } else {
              convert(part, from, count, layout.form(), target);
            }
          });
      at += (long) count * rowBytes;
    }
    return at;
  }

  /** Writes rows as numbers of {@code form}, a few at a time. */
  private static void convert(
      MatrixSource part, int first, int count, WeightForm form, ByteBuffer target) {
    int most = Math.max(1, CONVERTED / part.columns());
    float[] numbers = new float[Math.min(most, count) * part.columns()];
    for (int done = 0; done < count; done += most) {
      int rows = Math.min(most, count - done);
      part.read(first + done, rows, numbers, 0);
      put(numbers, rows * part.columns(), form, target);
    }
  }

  private static void put(float[] numbers, int count, WeightForm form, ByteBuffer target) {
    if (form == WeightForm.FLOAT) {
      target.asFloatBuffer().put(numbers, 0, count);
      target.position(target.position() + count * Float.BYTES);
      return;
    }
    for (int i = 0; i < count; i++) {
      target.putShort(Bf16.of(numbers[i]));
    }
  }

  private static long scales(
      Staging.Pieces pieces, MatrixSource part, WeightLayout layout, Memory to, long offset) {
    int columns = layout.scaleColumns();
    int rows = layout.scaleRows(part.rows());
    if (columns == 0) {
      return offset;
    }
    int rowBytes = columns * Float.BYTES;
    int most = rowsAtOnce(part, rowBytes);
    long at = offset;
    for (int first = 0; first < rows; first += most) {
      int count = Math.min(most, rows - first);
      int from = first;
      pieces.send(
          to,
          at,
          target -> {
            float[] row = new float[columns];
            for (int r = from; r < from + count; r++) {
              part.readScales(r, row);
              target.asFloatBuffer().put(row);
              target.position(target.position() + rowBytes);
            }
          });
      at += (long) count * rowBytes;
    }
    return at;
  }

  private static int rowsAtOnce(MatrixSource source, int rowBytes) {
    if (rowBytes > Staging.BUFFER_BYTES) {
      throw MoontideException.checkpoint(
          "%s has rows of %,d bytes, and the CUDA backend loads rows of at most %,d",
          source.name(), rowBytes, Staging.BUFFER_BYTES);
    }
    return Staging.BUFFER_BYTES / rowBytes;
  }
}
