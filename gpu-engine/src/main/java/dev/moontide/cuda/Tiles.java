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

/** Sizes of the Hopper kernels' layouts ({@code hopper/layout.cuh}). */
final class Tiles {
  /** Bytes of a row of a tile or panel within a K block. */
  static final int ROW_BYTES = 128;

  /** Rows of a weight tile. */
  static final int ROWS = 128;

  /** Bytes of a weight tile. */
  static final int BYTES = ROWS * ROW_BYTES;

  /** FP8 columns of a K block. */
  static final int FP8_COLUMNS = ROW_BYTES;

  /** bf16 columns of a K block. */
  static final int BF16_COLUMNS = ROW_BYTES / Short.BYTES;

  /** Rows that lie together in a panel: where a part of one may begin. */
  static final int PANEL_ROWS = 8;

  /** Tokens of a cache page. */
  static final int PAGE_TOKENS = 64;

  /** Bytes of a cache page of one layer: 512 latent columns and 64 of the key, bf16. */
  static final int PAGE_BYTES = PAGE_TOKENS * 576 * Short.BYTES;

  private Tiles() {}

  static int ceil(int size, int part) {
    return (size + part - 1) / part;
  }

  /** The capacity of a panel of {@code rows}. */
  static long panelRows(long rows) {
    return (rows + PANEL_ROWS - 1) / PANEL_ROWS * PANEL_ROWS;
  }

  /** Bytes of a panel of {@code kBlocks}. */
  static long panelBytes(long rows, long kBlocks) {
    return kBlocks * panelRows(rows) * ROW_BYTES;
  }

  /** Bytes of an FP8 panel's scales. */
  static long scaleBytes(long rows, long kBlocks) {
    return kBlocks * panelRows(rows) * Float.BYTES;
  }
}
