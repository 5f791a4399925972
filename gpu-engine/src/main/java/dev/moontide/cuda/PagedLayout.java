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
   * Position from which prompts take the naive form: a third of the arithmetic for an entry seen,
   * after the expansion of all of them, which short prompts and short ends of shared ones do not
   * make good.
   */
  static final int NAIVE_FROM = 256;

  private static final int ARRAYS = 5;

  private final Ints ints = new Ints();
  private final AbsorbedRanges ranges = new AbsorbedRanges(this);
  private final NaivePasses passes = new NaivePasses(this);
  private int capacity;
  private int[] tables = new int[16];

  int capacity() {
    return capacity;
  }

  Ints ints() {
    return ints;
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

  List<AbsorbedRanges.Range> ranges() {
    return ranges.list();
  }

  List<NaivePasses.Pass> passes() {
    return passes.list();
  }

  /** Where the page numbers of sequence {@code s} begin. */
  int table(int s) {
    return tables[s];
  }

  /** Whether rows beyond the tokens make all there is to do: one range, nothing copied. */
  boolean isPlain() {
    return passes().isEmpty() && ranges().size() == 1 && !ranges.hasTrie();
  }

  static boolean isNaive(Step step, int t) {
    return step.isPrompt(t) && step.position(t) >= NAIVE_FROM;
  }

  /** Lays out {@code step} for {@code rows}, at least its tokens. */
  void fill(Step step, int rows) {
    capacity = (int) Tiles.panelRows(Math.max(step.maxTokens(), rows));
    ints.resize(pages());
    // Rows without a token see one entry of the idle page.
    ints.add(PageCache.IDLE_PAGE);
    placeTables(step);
    for (int t = 0; t < step.tokens(); t++) {
      ints.set(position() + t, step.position(t));
      ints.set(slot() + t, slot(step, step.sequence(t), step.cacheIndex(t)));
      ints.set(length() + t, visible(step, t));
      ints.set(absorbedLength() + t, isNaive(step, t) ? 1 : visible(step, t));
      ints.set(pageStart() + t, tables[step.sequence(t)]);
    }
    for (int t = step.tokens(); t < rows; t++) {
      ints.set(position() + t, 0);
      ints.set(slot() + t, PageCache.IDLE_PAGE * Tiles.PAGE_TOKENS);
      ints.set(length() + t, 1);
      ints.set(absorbedLength() + t, 1);
      ints.set(pageStart() + t, 0);
    }
    ranges.fill(step, rows);
    passes.fill(step);
  }

  private static int visible(Step step, int t) {
    return step.prefixLength(t) + ancestors(step, t);
  }

  static int ancestors(Step step, int t) {
    return step.ancestorStart(t + 1) - step.ancestorStart(t);
  }

  static int slot(Step step, int sequence, int entry) {
    return page(step, sequence, entry / Tiles.PAGE_TOKENS) * Tiles.PAGE_TOKENS
        + entry % Tiles.PAGE_TOKENS;
  }

  static int page(Step step, int sequence, int index) {
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
      tables[s] = ints.size() - pages();
      addPages(step, s, Tiles.ceil(entries, Tiles.PAGE_TOKENS));
    }
  }

  /** Adds the first {@code count} page numbers of a sequence. */
  void addPages(Step step, int sequence, int count) {
    for (int i = 0; i < count; i++) {
      ints.add(page(step, sequence, i));
    }
  }

  /** What token {@code t} sees lies in the pages whose numbers are added next. */
  void startPages(int t) {
    ints.set(pageStart() + t, ints.size() - pages());
  }
}
