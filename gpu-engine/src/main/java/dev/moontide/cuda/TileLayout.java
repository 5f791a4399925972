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
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * A weight as tiles of 128 rows and 128 bytes (a K block), row tile after row tile, their number
 * even.
 *
 * @param form FP8, with a scale a tile, or bf16
 * @param parts the matrices it is made of, from the top
 */
record TileLayout(WeightForm form, int columns, List<Part> parts) {
  private static final Encoding FP8 = new Encoding.BlockFp8(Tiles.ROWS, Tiles.FP8_COLUMNS);

  /**
   * A matrix within the weight: its row tile {@code i} is the weight's {@code first + i · step}.
   *
   * @param tiles row tiles it fills, the last with zeros beyond its rows
   */
  record Part(int rows, int first, int step, int tiles) {}

  /** Matrices one below the other, each from a whole row tile on. */
  static TileLayout stacked(WeightForm form, MatrixSource source) {
    List<Part> parts = new ArrayList<>();
    int first = 0;
    int count = source.parts().size();
    for (int i = 0; i < count; i++) {
      int rows = source.parts().get(i).rows();
      int tiles = Tiles.ceil(rows, Tiles.ROWS);
      int padded = i == count - 1 ? tiles + (first + tiles) % 2 : tiles;
      parts.add(new Part(rows, first, 1, padded));
      first += padded;
    }
    return new TileLayout(form, source.columns(), List.copyOf(parts));
  }

  /** Two matrices of equal size, their row tiles in turn. */
  static TileLayout interleaved(MatrixSource source) {
    int rows = source.parts().get(0).rows();
    int tiles = Tiles.ceil(rows, Tiles.ROWS);
    return new TileLayout(
        WeightForm.FP8,
        source.columns(),
        List.of(new Part(rows, 0, 2, tiles), new Part(rows, 1, 2, tiles)));
  }

  /** Why {@code source} cannot be FP8 tiles as it is stored; empty if it can. */
  static Optional<String> refusal(MatrixSource source) {
    return source.parts().stream()
        .filter(part -> !part.encoding().equals(FP8))
        .findFirst()
        .map(part -> part.name() + " is not FP8 with a scale for each 128 x 128 block");
  }

  int kBlocks() {
    return Tiles.ceil(columns, form == WeightForm.FP8 ? Tiles.FP8_COLUMNS : Tiles.BF16_COLUMNS);
  }

  /** Row tiles. */
  int tiles() {
    return parts.stream().mapToInt(Part::tiles).sum();
  }

  /** Rows of its matrices. */
  int rows() {
    return parts.stream().mapToInt(Part::rows).sum();
  }

  /** Rows up to the last matrix's last. */
  int paddedRows() {
    Part last = parts.get(parts.size() - 1);
    return last.first() * Tiles.ROWS + last.rows();
  }

  /** Bytes of the tiles of one. */
  long valueBytes() {
    return (long) tiles() * kBlocks() * Tiles.BYTES;
  }

  /** Bytes of the scales of one. */
  long scaleBytes() {
    return form == WeightForm.FP8 ? (long) tiles() * kBlocks() * Float.BYTES : 0;
  }

  /** What {@code count} of them take in an {@link Arena}. */
  long arenaBytes(int count) {
    long scales = scaleBytes() == 0 ? 0 : Arena.rounded(count * scaleBytes());
    return Arena.rounded(count * valueBytes()) + scales;
  }
}
