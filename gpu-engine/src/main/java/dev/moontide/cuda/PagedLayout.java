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
import dev.moontide.tensor.Step;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * A step as the Hopper kernels of attention take it: for each row where it writes and what it sees,
 * as pages of the cache; and in which ranges and passes rows go.
 *
 * <p>A token of a prompt from position {@link #NAIVE_FROM} on takes the naive form of attention,
 * every other the absorbed one. Their bits differ, so the choice is by the token's role and
 * position alone: chunks, batches, shared prefixes and rows computed again do not change it.
 *
 * <p>Ints: five arrays of {@link #capacity} (position, slot, length, length in the absorbed form,
 * start of pages), then page numbers, copies and tiles. Used by one thread.
 */
final class PagedLayout {
  /**
   * Position from which prompts take the naive form. It is faster earlier where nothing of a prompt
   * is shared, and slower later where most of it is and a few tokens expand it all.
   */
  static final int NAIVE_FROM = 512;

  /** Rows of a range: what the absorbed form computes at once. */
  static final int RANGE_ROWS = 2048;

  /** Rows of a part of a pass. */
  static final int PART_ROWS = 4096;

  /** Pages that a pass expands at once, unless one sequence alone has more. */
  static final int PASS_PAGES = 256;

  /** Entries of a piece of attention. */
  static final int PIECE = 1024;

  private static final int ARRAYS = 5;
  private static final int TILE_INTS = 6;
  private static final int GROUP = Tiles.PANEL_ROWS;

  /**
   * Rows that take the absorbed form together; others among them are computed for nothing.
   *
   * @param first a multiple of 8
   * @param copies entries to copy before, for tokens of a trie
   * @param copyFrom where their slots begin among the ints
   * @param copyTo where the slots they go to begin
   * @param pieces of all rows
   * @param longest pieces of the row that has most
   */
  record Range(
      int first, int rows, int copies, int copyFrom, int copyTo, int pieces, int longest) {}

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

  private final List<Range> ranges = new ArrayList<>();
  private final List<Pass> passes = new ArrayList<>();
  private int[] ints = new int[1024];
  private int end;
  private int capacity;
  private boolean hasTrie;
  private int[] tables = new int[16];
  private Ints copyFrom = new Ints();
  private Ints copyTo = new Ints();
  private Ints tiles = new Ints();

  /** A growing array. */
  private static final class Ints {
    private int[] values = new int[64];
    private int size;

    void add(int value) {
      if (size == values.length) {
        values = Arrays.copyOf(values, 2 * size);
      }
      values[size++] = value;
    }
  }

  int capacity() {
    return capacity;
  }

  int[] ints() {
    return ints;
  }

  int size() {
    return end;
  }

  /** Where an array begins among the ints. */
  int position() {
    return 0;
  }

  int slot() {
    return capacity;
  }

  int length() {
    return 2 * capacity;
  }

  int absorbedLength() {
    return 3 * capacity;
  }

  int pageStart() {
    return 4 * capacity;
  }

  /** Page numbers, which {@link #pageStart} counts from here. */
  int pages() {
    return ARRAYS * capacity;
  }

  List<Range> ranges() {
    return ranges;
  }

  List<Pass> passes() {
    return passes;
  }

  /** Whether rows beyond the tokens make all there is to do: one range, nothing copied. */
  boolean isPlain() {
    return passes.isEmpty() && ranges.size() == 1 && !hasTrie;
  }

  static boolean isNaive(Step step, int t) {
    return step.isPrompt(t) && step.position(t) >= NAIVE_FROM;
  }

  /** Lays out {@code step} for {@code rows}, at least its tokens. */
  void fill(Step step, int rows) {
    capacity = (int) Tiles.panelRows(Math.max(step.maxTokens(), rows));
    ranges.clear();
    passes.clear();
    hasTrie = false;
    end = pages();
    grow(0);
    // Rows without a token see one entry of the idle page.
    add(PageCache.IDLE_PAGE);
    placeTables(step);
    for (int t = 0; t < step.tokens(); t++) {
      ints[position() + t] = step.position(t);
      ints[slot() + t] = slot(step, step.sequence(t), step.cacheIndex(t));
      ints[length() + t] = visible(step, t);
      ints[absorbedLength() + t] = isNaive(step, t) ? 1 : visible(step, t);
      ints[pageStart() + t] = tables[step.sequence(t)];
    }
    for (int t = step.tokens(); t < rows; t++) {
      ints[position() + t] = 0;
      ints[slot() + t] = PageCache.IDLE_PAGE * Tiles.PAGE_TOKENS;
      ints[length() + t] = 1;
      ints[absorbedLength() + t] = 1;
      ints[pageStart() + t] = 0;
    }
    placeRanges(step, rows);
    placePasses(step);
  }

  private static int visible(Step step, int t) {
    return step.prefixLength(t) + ancestors(step, t);
  }

  private static int ancestors(Step step, int t) {
    return step.ancestorStart(t + 1) - step.ancestorStart(t);
  }

  private static int slot(Step step, int sequence, int entry) {
    return page(step, sequence, entry / Tiles.PAGE_TOKENS) * Tiles.PAGE_TOKENS
        + entry % Tiles.PAGE_TOKENS;
  }

  private static int page(Step step, int sequence, int index) {
    return PageCache.FIRST_BLOCK_PAGE + step.blockTable(sequence)[index];
  }

  /** Page numbers of every sequence's prefix. */
  private void placeTables(Step step) {
    if (tables.length < step.sequences()) {
      tables = new int[2 * step.sequences()];
    }
    int t = 0;
    for (int s = 0; s < step.sequences(); s++) {
      int entries = 0;
      for (; t < step.tokens() && step.sequence(t) == s; t++) {
        entries = Math.max(entries, step.prefixLength(t));
      }
      tables[s] = end - pages();
      addPages(step, s, Tiles.ceil(entries, Tiles.PAGE_TOKENS));
    }
  }

  private void addPages(Step step, int sequence, int count) {
    for (int i = 0; i < count; i++) {
      add(page(step, sequence, i));
    }
  }

  // ---- the absorbed form ---------------------------------------------------------------------

  private void placeRanges(Step step, int rows) {
    int first = 0;
    int triePages = 0;
    boolean isOpen = false;
    copyFrom = new Ints();
    copyTo = new Ints();
    for (int group = 0; group < rows; group += GROUP) {
      int groupEnd = Math.min(rows, group + GROUP);
      int needed = triePages(step, group, groupEnd);
      if (needed > PageCache.TRIE_PAGES) {
        throw MoontideException.engine(
            "a label's tokens see %,d pages of their own, and there are %,d: use shorter labels",
            needed, PageCache.TRIE_PAGES);
      }
      boolean isWanted = hasAbsorbed(step, group, groupEnd);
      if (isOpen
          && (!isWanted
              || group - first >= RANGE_ROWS
              || triePages + needed > PageCache.TRIE_PAGES)) {
        closeRange(first, group);
        isOpen = false;
      }
      if (isWanted && !isOpen) {
        isOpen = true;
        first = group;
        triePages = 0;
      }
      for (int t = group; t < Math.min(groupEnd, step.tokens()); t++) {
        if (ancestors(step, t) > 0) {
          triePages += placeTrieToken(step, t, PageCache.FIRST_TRIE_PAGE + triePages);
        }
      }
    }
    if (isOpen) {
      closeRange(first, rows);
    }
  }

  private static boolean hasAbsorbed(Step step, int from, int to) {
    for (int t = from; t < to; t++) {
      if (t >= step.tokens() || !isNaive(step, t)) {
        return true;
      }
    }
    return false;
  }

  /** Entries of token {@code t}, of a trie, that lie in pages of its own. */
  private static int ownEntries(Step step, int t) {
    return step.prefixLength(t) % Tiles.PAGE_TOKENS + ancestors(step, t);
  }

  private static int triePages(Step step, int from, int to) {
    int pages = 0;
    for (int t = from; t < Math.min(to, step.tokens()); t++) {
      if (ancestors(step, t) > 0) {
        pages += Tiles.ceil(ownEntries(step, t), Tiles.PAGE_TOKENS);
      }
    }
    return pages;
  }

  /**
   * Gives token {@code t} a list of pages of its own: the prefix's whole ones, then copies of the
   * entries after them; returns how many pages hold the copies.
   */
  private int placeTrieToken(Step step, int t, int firstPage) {
    hasTrie = true;
    int sequence = step.sequence(t);
    int whole = step.prefixLength(t) / Tiles.PAGE_TOKENS;
    int rest = step.prefixLength(t) % Tiles.PAGE_TOKENS;
    int own = ownEntries(step, t);
    int count = Tiles.ceil(own, Tiles.PAGE_TOKENS);
    ints[pageStart() + t] = end - pages();
    addPages(step, sequence, whole);
    for (int i = 0; i < count; i++) {
      add(firstPage + i);
    }
    for (int i = 0; i < own; i++) {
      int entry =
          i < rest
              ? whole * Tiles.PAGE_TOKENS + i
              : step.ancestor(step.ancestorStart(t) + i - rest);
      copyFrom.add(slot(step, sequence, entry));
      copyTo.add(firstPage * Tiles.PAGE_TOKENS + i);
    }
    return count;
  }

  private void closeRange(int first, int rangeEnd) {
    int pieces = 0;
    int longest = 1;
    for (int t = first; t < rangeEnd; t++) {
      int own = Tiles.ceil(ints[absorbedLength() + t], PIECE);
      pieces += own;
      longest = Math.max(longest, own);
    }
    int from = addAll(copyFrom);
    int to = addAll(copyTo);
    ranges.add(new Range(first, rangeEnd - first, copyFrom.size, from, to, pieces, longest));
    copyFrom.size = 0;
    copyTo.size = 0;
  }

  // ---- the naive form ------------------------------------------------------------------------

  private void placePasses(Step step) {
    PassBuilder pass = new PassBuilder();
    int t = 0;
    while (t < step.tokens()) {
      int sequence = step.sequence(t);
      int first = -1;
      int last = -1;
      for (; t < step.tokens() && step.sequence(t) == sequence; t++) {
        if (isNaive(step, t)) {
          first = last < 0 ? t : first;
          last = t;
        }
      }
      if (last >= 0) {
        int entries = step.prefixLength(last);
        int count = Tiles.ceil(entries, Tiles.PAGE_TOKENS);
        if (pass.pages.size > 0 && pass.pages.size + count > PASS_PAGES) {
          pass.finish();
          pass = new PassBuilder();
        }
        pass.add(step, sequence, first, last + 1, count);
      }
    }
    if (pass.pages.size > 0) {
      pass.finish();
    }
  }

  /** A pass being made. */
  private final class PassBuilder {
    private final Ints pages = new Ints();
    private final List<Part> parts = new ArrayList<>();
    private int first;
    private int partEnd;

    /** Rows {@code [from, to)} of a sequence that sees {@code count} pages. */
    void add(Step step, int sequence, int from, int to, int count) {
      int keyRow = pages.size * Tiles.PAGE_TOKENS;
      for (int i = 0; i < count; i++) {
        pages.add(page(step, sequence, i));
      }
      for (int row = from / GROUP * GROUP; row < to; row += Tiles.ROWS) {
        if (tiles.size == 0 || row + Tiles.ROWS - first > PART_ROWS) {
          finishPart();
          first = row;
        }
        int firstRow = Math.max(from, row);
        int endRow = Math.min(to, row + Tiles.ROWS);
        tiles.add(row - first);
        tiles.add(firstRow - first);
        tiles.add(endRow - first);
        tiles.add(tables[sequence]);
        tiles.add(keyRow);
        tiles.add(step.prefixLength(endRow - 1));
        partEnd = endRow;
      }
    }

    private void finishPart() {
      if (tiles.size > 0) {
        int count = tiles.size / TILE_INTS;
        parts.add(new Part(first, partEnd - first, addAll(tiles), count));
        tiles = new Ints();
      }
    }

    void finish() {
      finishPart();
      passes.add(new Pass(addAll(pages), pages.size, List.copyOf(parts)));
    }
  }

  // ---- the ints ------------------------------------------------------------------------------

  private int addAll(Ints more) {
    int at = end;
    grow(more.size);
    System.arraycopy(more.values, 0, ints, end, more.size);
    end += more.size;
    return at;
  }

  private void add(int value) {
    grow(1);
    ints[end++] = value;
  }

  private void grow(int more) {
    if (end + more > ints.length) {
      ints = Arrays.copyOf(ints, 2 * (end + more));
    }
  }
}
