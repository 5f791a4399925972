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

import dev.moontide.tensor.Step;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * The rows of a step that take the naive form of attention, by the sequences whose latents are
 * expanded together. Used by one thread.
 */
final class NaivePasses {
  /** Rows of a part of a pass. */
  static final int PART_ROWS = 16_384;

  /** Pages that a pass expands at once, unless one sequence alone has more. */
  static final int PAGES = 256;

  private static final int GROUP = Tiles.PANEL_ROWS;

  /** Blocks draw tiles in order: what is left for the end is then short. */
  private static final Comparator<Tile> LONGEST_FIRST =
      Comparator.comparingInt(Tile::entries).reversed();

  /**
   * Sequences whose latents are expanded together.
   *
   * @param pages where their page numbers begin among the ints
   */
  record Pass(int pages, int pageCount, List<Part> parts) {}

  /**
   * Rows of a pass that take the naive form together.
   *
   * @param first a multiple of 8
   * @param tiles where the tiles begin among the ints
   */
  record Part(int first, int rows, int tiles, int tileCount) {}

  private final PagedLayout layout;
  private final List<Pass> passes = new ArrayList<>();

  NaivePasses(PagedLayout layout) {
    this.layout = layout;
  }

  List<Pass> list() {
    return passes;
  }

  /** Lays out the passes of {@code step}, whose arrays are filled. */
  void fill(Step step) {
    passes.clear();
    PassBuilder pass = new PassBuilder();
    int t = 0;
    while (t < step.tokens()) {
      int sequence = step.sequence(t);
      int first = -1;
      int last = -1;
      for (; t < step.tokens() && step.sequence(t) == sequence; t++) {
        if (PagedLayout.isNaive(step, t)) {
          first = last < 0 ? t : first;
          last = t;
        }
      }
      if (last >= 0) {
        int entries = step.prefixLength(last);
        int count = Tiles.ceil(entries, Tiles.PAGE_TOKENS);
        if (pass.pages.size() > 0 && pass.pages.size() + count > PAGES) {
          pass.finish();
          pass = new PassBuilder();
        }
        pass.add(step, sequence, first, last + 1, count);
      }
    }
    if (pass.pages.size() > 0) {
      pass.finish();
    }
  }

  /** What a block takes at once ({@code PromptTile} of the kernel, but for the rows' beginning). */
  private record Tile(int row, int firstRow, int endRow, int table, int keyRow, int entries) {}

  /** A pass being made. */
  private final class PassBuilder {
    private final Ints pages = new Ints();
    private final List<Tile> tiles = new ArrayList<>();
    private final List<Part> parts = new ArrayList<>();
    private int first;
    private int partEnd;

    /** Rows {@code [from, to)} of a sequence that sees {@code count} pages. */
    void add(Step step, int sequence, int from, int to, int count) {
      int keyRow = pages.size() * Tiles.PAGE_TOKENS;
      for (int i = 0; i < count; i++) {
        pages.add(PagedLayout.page(step, sequence, i));
      }
      for (int row = from / GROUP * GROUP; row < to; row += Tiles.ROWS) {
        if (tiles.isEmpty() || row + Tiles.ROWS - first > PART_ROWS) {
          finishPart();
          first = row;
        }
        int endRow = Math.min(to, row + Tiles.ROWS);
        tiles.add(
            new Tile(
                row - first,
                Math.max(from, row) - first,
                endRow - first,
                layout.table(sequence),
                keyRow,
                step.prefixLength(endRow - 1)));
        partEnd = endRow;
      }
    }

    private void finishPart() {
      if (!tiles.isEmpty()) {
        tiles.sort(LONGEST_FIRST);
        Ints ints = layout.ints();
        int at = ints.size();
        for (Tile tile : tiles) {
          ints.add(tile.row());
          ints.add(tile.firstRow());
          ints.add(tile.endRow());
          ints.add(tile.table());
          ints.add(tile.keyRow());
          ints.add(tile.entries());
        }
        parts.add(new Part(first, partEnd - first, at, tiles.size()));
        tiles.clear();
      }
    }

    void finish() {
      finishPart();
      passes.add(new Pass(layout.ints().addAll(pages), pages.size(), List.copyOf(parts)));
    }
  }
}
