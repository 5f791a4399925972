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

import dev.moontide.tensor.Tensor;

/**
 * Rows as a Hopper kernel takes or leaves them.
 *
 * @param kind what lies in {@code memory}
 * @param capacity a multiple of 8
 * @param from where the second matrix's columns begin in parts; 0 elsewhere
 * @param stride numbers from one row to the next, where rows lie one after the other
 * @param splits parts of each sum; 1 elsewhere
 * @param scales of FP8; empty elsewhere
 */
record PanelTensor(
    Kind kind,
    int capacity,
    int columns,
    int from,
    int stride,
    int splits,
    Memory memory,
    Memory scales)
    implements Tensor {
  /** What is stored, and what reads it. */
  enum Kind {
    /** An FP8 panel and its scales: products with FP8 weights. */
    FP8,
    /** A bf16 panel: products with bf16 weights. */
    BF16,
    /** A bf16 panel and, after it, one of what rounding lost: the router's product. */
    HIGH_LOW,
    /** float32 rows of sums over pieces of K, [splits][capacity][stride]: norms. */
    PARTS,
    /** bf16 rows: the preparation of queries. */
    ROWS
  }

  /** Pieces into which sums for {@link Kind#PARTS} over {@code columns} FP8 columns are cut. */
  static int splits(int columns) {
    return Math.min(4, Tiles.ceil(columns, Tiles.FP8_COLUMNS));
  }

  /** Bytes of {@code memory}. */
  static long bytes(Kind kind, int rows, int columns, int splits) {
    return switch (kind) {
      case FP8 -> Tiles.panelBytes(rows, Tiles.ceil(columns, Tiles.FP8_COLUMNS));
      case BF16 -> Tiles.panelBytes(rows, Tiles.ceil(columns, Tiles.BF16_COLUMNS));
      case HIGH_LOW -> 2 * Tiles.panelBytes(rows, Tiles.ceil(columns, Tiles.BF16_COLUMNS));
      case PARTS -> splits * Tiles.panelRows(rows) * columns * Float.BYTES;
      case ROWS -> Tiles.panelRows(rows) * columns * Short.BYTES;
    };
  }

  /** Bytes of {@code scales}. */
  static long scaleBytes(Kind kind, int rows, int columns) {
    return kind == Kind.FP8 ? Tiles.scaleBytes(rows, Tiles.ceil(columns, Tiles.FP8_COLUMNS)) : 0;
  }

  /** What one takes in an {@link Arena}. */
  static long arenaBytes(Kind kind, int rows, int columns, int splits) {
    long scales = scaleBytes(kind, rows, columns);
    return Arena.rounded(bytes(kind, rows, columns, splits))
        + (scales == 0 ? 0 : Arena.rounded(scales));
  }

  static PanelTensor allocate(Arena arena, Kind kind, int rows, int columns) {
    return allocate(arena, kind, rows, columns, 0, columns, 1);
  }

  /** Parts of the query's latent and, from the next multiple of 128 columns on, a cache entry. */
  static PanelTensor parts(Arena arena, int rows, int hidden, int queryColumns, int entryColumns) {
    return allocate(
        arena,
        Kind.PARTS,
        rows,
        queryColumns + entryColumns,
        padded(queryColumns),
        partColumns(queryColumns, entryColumns),
        splits(hidden));
  }

  /** Columns of a row of parts. */
  static int partColumns(int queryColumns, int entryColumns) {
    return (padded(queryColumns) + entryColumns + 3) / 4 * 4;
  }

  private static int padded(int columns) {
    return Tiles.ceil(columns, Tiles.ROWS) * Tiles.ROWS;
  }

  private static PanelTensor allocate(
      Arena arena, Kind kind, int rows, int columns, int from, int stride, int splits) {
    Memory memory = arena.allocate(bytes(kind, rows, stride, splits));
    long scales = scaleBytes(kind, rows, columns);
    return new PanelTensor(
        kind,
        (int) Tiles.panelRows(rows),
        columns,
        from,
        stride,
        splits,
        memory,
        scales == 0 ? new Memory(memory.buffer(), 0, 0) : arena.allocate(scales));
  }

  /** Numbers from one part to the next. */
  long splitStride() {
    return (long) capacity * stride;
  }

  /** K blocks of a panel. */
  int kBlocks() {
    return Tiles.ceil(columns, kind == Kind.FP8 ? Tiles.FP8_COLUMNS : Tiles.BF16_COLUMNS);
  }
}
