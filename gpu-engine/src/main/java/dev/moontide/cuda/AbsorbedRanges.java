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
import java.util.List;
import java.util.OptionalInt;

/**
 * The rows of a step that take the absorbed form of attention, in ranges, wherever they stand among
 * those of prompts; tokens of a trie among them get pages of their own, which each range uses anew.
 * Used by one thread.
 */
final class AbsorbedRanges {
  /** Rows of a range: what the absorbed form computes at once. */
  static final int ROWS = 2048;

  /** Entries of a piece of attention. */
  private static final int PIECE = 1024;

  private static final int GROUP = Tiles.PANEL_ROWS;

  /**
   * Rows that take the absorbed form together; naive ones among them are computed for nothing.
   *
   * @param first the step's row that is the range's first, a multiple of 8, if they are consecutive
   * @param numbers where the rows' numbers begin among the ints, if they are not; arrays by row of
   *     the range begin there too
   * @param position where the array of positions begins
   * @param length where that of entries seen begins
   * @param pageStart where that of pages' beginnings does
   * @param copies entries to copy before, for tokens of a trie
   * @param copyFrom where their slots begin among the ints
   * @param copyTo where the slots they go to begin
   * @param pieces of all rows
   * @param longest pieces of the row that has most
   */
  record Range(
      int first,
      OptionalInt numbers,
      int rows,
      int position,
      int length,
      int pageStart,
      int copies,
      int copyFrom,
      int copyTo,
      int pieces,
      int longest) {}

  private final PagedLayout layout;
  private final List<Range> ranges = new ArrayList<>();
  private final Ints numbers = new Ints();
  private final Ints copyFrom = new Ints();
  private final Ints copyTo = new Ints();
  private boolean hasTrie;

  AbsorbedRanges(PagedLayout layout) {
    this.layout = layout;
  }

  List<Range> list() {
    return ranges;
  }

  /** Whether tokens of a trie are among the rows. */
  boolean hasTrie() {
    return hasTrie;
  }

  /** Lays out ranges of {@code step} for {@code rows}, whose arrays are filled. */
  void fill(Step step, int rows) {
    ranges.clear();
    hasTrie = false;
    int triePages = 0;
    numbers.clear();
    copyFrom.clear();
    copyTo.clear();
    for (int group = 0; group < rows; group += GROUP) {
      int groupEnd = Math.min(rows, group + GROUP);
      if (!hasAbsorbed(step, group, groupEnd)) {
        continue;
      }
      int needed = triePages(step, group, groupEnd);
      if (needed > PageCache.TRIE_PAGES) {
        throw MoontideException.engine(
            "a label's tokens see %,d pages of their own, and there are %,d: use shorter labels",
            needed, PageCache.TRIE_PAGES);
      }
      if (numbers.size() >= ROWS || triePages + needed > PageCache.TRIE_PAGES) {
        closeRange();
        triePages = 0;
      }
      for (int t = group; t < groupEnd; t++) {
        numbers.add(t);
        if (t < step.tokens() && PagedLayout.ancestors(step, t) > 0) {
          triePages += placeTrieToken(step, t, PageCache.FIRST_TRIE_PAGE + triePages);
        }
      }
    }
    closeRange();
  }

  private static boolean hasAbsorbed(Step step, int from, int to) {
    for (int t = from; t < to; t++) {
      if (t >= step.tokens() || !PagedLayout.isNaive(step, t)) {
        return true;
      }
    }
    return false;
  }

  /** Entries of token {@code t}, of a trie, that lie in pages of its own. */
  private static int ownEntries(Step step, int t) {
    return step.prefixLength(t) % Tiles.PAGE_TOKENS + PagedLayout.ancestors(step, t);
  }

  private static int triePages(Step step, int from, int to) {
    int pages = 0;
    for (int t = from; t < Math.min(to, step.tokens()); t++) {
      if (PagedLayout.ancestors(step, t) > 0) {
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
    layout.startPages(t);
    layout.addPages(step, sequence, whole);
    for (int i = 0; i < count; i++) {
      layout.ints().add(firstPage + i);
    }
    for (int i = 0; i < own; i++) {
      int entry =
          i < rest
              ? whole * Tiles.PAGE_TOKENS + i
              : step.ancestor(step.ancestorStart(t) + i - rest);
      copyFrom.add(PagedLayout.slot(step, sequence, entry));
      copyTo.add(firstPage * Tiles.PAGE_TOKENS + i);
    }
    return count;
  }

  private void closeRange() {
    int rows = numbers.size();
    if (rows == 0) {
      return;
    }
    int first = numbers.get(0);
    int pieces = 0;
    int longest = 1;
    for (int i = 0; i < rows; i++) {
      int own = Tiles.ceil(layout.ints().get(layout.absorbedLength() + numbers.get(i)), PIECE);
      pieces += own;
      longest = Math.max(longest, own);
    }
    int from = layout.ints().addAll(copyFrom);
    int to = layout.ints().addAll(copyTo);
    boolean isConsecutive = numbers.get(rows - 1) == first + rows - 1;
    ranges.add(
        new Range(
            first,
            isConsecutive ? OptionalInt.empty() : OptionalInt.of(layout.ints().addAll(numbers)),
            rows,
            isConsecutive ? layout.position() + first : gather(layout.position()),
            isConsecutive ? layout.absorbedLength() + first : gather(layout.absorbedLength()),
            isConsecutive ? layout.pageStart() + first : gather(layout.pageStart()),
            copyFrom.size(),
            from,
            to,
            pieces,
            longest));
    numbers.clear();
    copyFrom.clear();
    copyTo.clear();
  }

  /** Appends what {@code array} has for the range's rows; where it begins. */
  private int gather(int array) {
    Ints ints = layout.ints();
    int at = ints.size();
    for (int i = 0; i < numbers.size(); i++) {
      ints.add(ints.get(array + numbers.get(i)));
    }
    return at;
  }
}
