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

/**
 * Brings matrices to the device as tiles: their rows as they are stored through the staging
 * buffers, from where a kernel puts them into place. Safe for concurrent use by threads bound to
 * the device.
 */
final class TileUpload {
  private static final int THREADS = 256;

  /** Columns of a row that a block dequantises. */
  private static final int DEQUANTISED = 1024;

  private final Arena arena;
  private final Staging staging;
  private final Kernel fp8;
  private final Kernel bf16;
  private final Kernel dequantise;

  TileUpload(Arena arena, Staging staging, Kernels kernels) {
    this.arena = arena;
    this.staging = staging;
    fp8 = kernels.kernel("retile_fp8", THREADS);
    bf16 = kernels.kernel("retile_bf16", THREADS);
    dequantise = kernels.kernel("dequantise_fp8", THREADS);
  }

  /**
   * Brings {@code sources}, each laid out as {@code layout}, one after the other.
   *
   * @param splits of the weight
   */
  TileWeight upload(List<MatrixSource> sources, TileLayout layout, int splits) {
    Memory values = arena.allocate(sources.size() * layout.valueBytes());
    Memory scales =
        layout.scaleBytes() == 0
            ? new Memory(values.buffer(), 0, 0)
            : arena.allocate(sources.size() * layout.scaleBytes());
    Staging.Pieces pieces = staging.pieces();
    for (int i = 0; i < sources.size(); i++) {
      MatrixSource source = sources.get(i);
      long to = values.address() + i * layout.valueBytes();
      long scalesTo = scales.address() + i * layout.scaleBytes();
      for (int p = 0; p < layout.parts().size(); p++) {
        TileLayout.Part part = layout.parts().get(p);
        MatrixSource from = layout.form() == WeightForm.FP8 ? source.parts().get(p) : source;
        check(from, part.rows(), layout.columns());
        if (layout.form() == WeightForm.FP8) {
          fp8(pieces, from, layout, part, to, scalesTo);
        } else {
          send(
              pieces,
              from,
              layout.columns() * Short.BYTES,
              Tiles.ROWS,
              bf16(from),
              (launcher, first, count, at) -> bf16(launcher, at, layout, part, to, first, count));
        }
      }
    }
    pieces.await();
    return new TileWeight(layout, splits, values, scales);
  }

  private static void check(MatrixSource source, int rows, int columns) {
    if (source.rows() != rows || source.columns() != columns) {
      throw MoontideException.checkpoint(
          "%s is [%d, %d], expected [%d, %d]",
          source.name(), source.rows(), source.columns(), rows, columns);
    }
  }

  /** Writes rows {@code [first, first + count)} as a piece. */
  private interface Fill {
    void rows(int first, int count, ByteBuffer target);
  }

  /** Puts a piece into place, given where it lies on the device. */
  private interface Place {
    void rows(Launcher launcher, int first, int count, long at);
  }

  private static void send(
      Staging.Pieces pieces,
      MatrixSource source,
      int rowBytes,
      int multiple,
      Fill fill,
      Place place) {
    int most = Staging.BUFFER_BYTES / rowBytes / multiple * multiple;
    if (most == 0) {
      throw MoontideException.checkpoint(
          "%s has rows of %,d bytes, and the Hopper kernels load rows of at most %,d:"
              + " set -D%s=simple",
          source.name(), rowBytes, Staging.BUFFER_BYTES / multiple, KernelPath.PROPERTY);
    }
    for (int first = 0; first < source.rows(); first += most) {
      int from = first;
      int count = Math.min(most, source.rows() - first);
      pieces.convert(
          target -> fill.rows(from, count, target),
          (launcher, at) -> place.rows(launcher, from, count, at));
    }
  }

  // ---- FP8 -----------------------------------------------------------------------------------

  /** Bytes of a row of such a piece, and more: 128 rows have one row of scales. */
  private static int fp8RowBytes(TileLayout layout) {
    return layout.columns() + Float.BYTES * Tiles.ceil(layout.columns(), Tiles.FP8_COLUMNS);
  }

  /** A piece is its rows, then its scales. */
  private static Fill fp8(MatrixSource source) {
    return (first, count, target) -> {
      source.copy(first, count, target);
      target.position((int) scalesAt(source.columns(), count));
      float[] row = new float[Tiles.ceil(source.columns(), Tiles.FP8_COLUMNS)];
      for (int r = 0; r < Tiles.ceil(count, Tiles.ROWS); r++) {
        source.readScales(first / Tiles.ROWS + r, row);
        for (float scale : row) {
          target.putFloat(scale);
        }
      }
    };
  }

  private static long scalesAt(int columns, int count) {
    return Arena.rounded((long) count * columns);
  }

  private void fp8(
      Staging.Pieces pieces,
      MatrixSource source,
      TileLayout layout,
      TileLayout.Part part,
      long to,
      long scalesTo) {
    send(
        pieces,
        source,
        fp8RowBytes(layout),
        Tiles.ROWS,
        fp8(source),
        (launcher, first, count, at) ->
            launcher
                .parameters(fp8)
                .pointer(at)
                .pointer(at + scalesAt(layout.columns(), count))
                .integer(count)
                .integer(layout.columns())
                .pointer(to)
                .pointer(scalesTo)
                .integer(layout.kBlocks())
                .integer(part.first() + first / Tiles.ROWS * part.step())
                .integer(part.step())
                .grid(layout.kBlocks(), tiles(part, first, count), 1));
  }

  /** Row tiles a piece fills: the last one's, up to the part's end. */
  private static int tiles(TileLayout.Part part, int first, int count) {
    return first + count == part.rows() ? part.tiles() - first / Tiles.ROWS : count / Tiles.ROWS;
  }

  // ---- bf16 ----------------------------------------------------------------------------------

  private static Fill bf16(MatrixSource source) {
    if (source.encoding() instanceof Encoding.Bf16) {
      return source::copy;
    }
    return (first, count, target) -> {
      float[] numbers = new float[source.columns()];
      for (int r = first; r < first + count; r++) {
        source.read(r, 1, numbers, 0);
        for (float number : numbers) {
          target.putShort(Bf16.of(number));
        }
      }
    };
  }

  private void bf16(
      Launcher launcher,
      long at,
      TileLayout layout,
      TileLayout.Part part,
      long to,
      int first,
      int count) {
    launcher
        .parameters(bf16)
        .pointer(at)
        .wide(layout.columns())
        .wide(1)
        .integer(count)
        .integer(layout.columns())
        .pointer(to)
        .integer(layout.kBlocks())
        .integer(part.first() + first / Tiles.ROWS)
        .integer(1)
        .grid(layout.kBlocks(), tiles(part, first, count), 1);
  }

  /** {@code kv_b_proj} of {@code heads}, each 128 rows of keys and 128 of values. */
  LatentTiles latent(MatrixSource source, int heads) {
    int headRows = 2 * Tiles.ROWS;
    int latent = 512;
    check(source, heads * headRows, latent);
    Memory up = arena.allocate(LatentTiles.upBytes(heads));
    Memory absorbed = arena.allocate(LatentTiles.absorbedBytes(heads));
    TileLayout layout = TileLayout.stacked(WeightForm.BF16, source);
    TileLayout.Part part = layout.parts().get(0);
    Place place =
        (launcher, first, count, at) -> {
          bf16(launcher, at, layout, part, up.address(), first, count);
          for (int head = first / headRows; head < (first + count) / headRows; head++) {
            long keys = at + (long) (head * headRows - first) * latent * Short.BYTES;
            absorb(launcher, keys, absorbed.address(), head);
          }
        };
    Staging.Pieces pieces = staging.pieces();
    int bf16Bytes = latent * Short.BYTES;
    if (TileLayout.refusal(source).isPresent()) {
      send(pieces, source, bf16Bytes, headRows, bf16(source), place);
    } else {
      send(
          pieces,
          source,
          fp8RowBytes(layout) + bf16Bytes,
          headRows,
          fp8(source),
          (launcher, first, count, at) -> {
            long scales = at + scalesAt(latent, count);
            long rows = scales + Arena.rounded((long) Float.BYTES * count);
            launcher
                .parameters(dequantise)
                .pointer(at)
                .pointer(scales)
                .integer(latent)
                .pointer(rows)
                .grid(Tiles.ceil(latent, DEQUANTISED), count, 1);
            place.rows(launcher, first, count, rows);
          });
    }
    pieces.await();
    return new LatentTiles(heads, up, absorbed);
  }

  /** Puts a head's keys, transposed, into their tiles. */
  private void absorb(Launcher launcher, long keys, long to, int head) {
    int latent = 512;
    launcher
        .parameters(bf16)
        .pointer(keys)
        .wide(1)
        .wide(latent)
        .integer(latent)
        .integer(Tiles.ROWS)
        .pointer(to)
        .integer(2)
        .integer(head * 4)
        .integer(1)
        .grid(2, 4, 1);
  }
}
