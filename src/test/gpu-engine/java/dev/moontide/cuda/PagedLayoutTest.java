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

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.api.MoontideException;
import dev.moontide.tensor.Step;
import java.util.Arrays;
import java.util.OptionalInt;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** A step as pages, ranges and passes. */
class PagedLayoutTest {
  private static final int PAGE = Tiles.PAGE_TOKENS;
  private static final int FIRST = PageCache.FIRST_BLOCK_PAGE;

  private final PagedLayout layout = new PagedLayout();

  private int at(int array, int row) {
    return layout.ints().get(array + row);
  }

  /** The page that entry {@code entry} of what row {@code row} sees lies in. */
  private int page(int row, int entry) {
    return layout.ints().get(layout.pages() + at(layout.pageStart(), row) + entry / PAGE);
  }

  private static void addPrompt(Step step, int from, int to) {
    for (int p = from; p < to; p++) {
      step.addPromptToken(p, p);
    }
  }

  private static int[] table(int first, int count) {
    int[] table = new int[count];
    Arrays.setAll(table, i -> first + 2 * i);
    return table;
  }

  @Test
  void rowsFindTheirEntriesAndIdleRowsTheIdlePage() {
    Step step = new Step(20, 2);
    step.beginSequence(table(5, 3));
    step.addToken(1, 130);
    step.beginSequence(table(50, 1));
    step.addToken(1, 3);
    layout.fill(step, 8);
    assertTrue(layout.isPlain());
    assertEquals(131, at(layout.length(), 0));
    assertEquals((FIRST + 9) * PAGE + 2, at(layout.slot(), 0));
    assertEquals(FIRST + 5, page(0, 0));
    assertEquals(FIRST + 7, page(0, 64));
    assertEquals(FIRST + 9, page(0, 130));
    assertEquals(FIRST + 50, page(1, 3));
    for (int row = 2; row < 8; row++) {
      assertEquals(1, at(layout.absorbedLength(), row));
      assertEquals(PageCache.IDLE_PAGE, page(row, 0));
      assertEquals(0, at(layout.slot(), row));
      assertEquals(0, at(layout.position(), row));
    }
    assertEquals(
        new AbsorbedRanges.Range(
            0,
            OptionalInt.empty(),
            8,
            layout.position(),
            layout.absorbedLength(),
            layout.pageStart(),
            0,
            layout.ints().size(),
            layout.ints().size(),
            8,
            1),
        layout.ranges().get(0));
  }

  /** The form is the token's, whatever the chunk: its role and its position. */
  @Test
  void promptsTakeTheNaiveFormFromAPositionOn() {
    Step step = new Step(1100, 2);
    int first = PagedLayout.NAIVE_FROM;
    step.beginSequence(table(0, 9));
    addPrompt(step, first - 24, first + 26);
    step.addToken(1, first + 26);
    step.beginSequence(table(100, 9));
    step.addToken(1, first + 36);
    for (int t = 0; t < step.tokens(); t++) {
      boolean isNaive = t >= 24 && t < 50;
      assertEquals(isNaive, PagedLayout.isNaive(step, t), "token " + t);
    }
    layout.fill(step, step.tokens());
    assertFalse(layout.isPlain());
    // Groups of eight rows: 24 to 47 are naive, 48 and 49 lie beside absorbed ones.
    AbsorbedRanges.Range range = layout.ranges().get(0);
    assertEquals(1, layout.ranges().size());
    assertEquals(28, range.rows());
    for (int i = 0; i < range.rows(); i++) {
      int row = i < 24 ? i : i + 24;
      assertEquals(row, at(range.numbers().getAsInt(), i));
      assertEquals(at(layout.position(), row), at(range.position(), i));
      assertEquals(at(layout.absorbedLength(), row), at(range.length(), i));
      assertEquals(at(layout.pageStart(), row), at(range.pageStart(), i));
    }
    assertEquals(1, at(layout.absorbedLength(), 48));
    assertEquals(first + 25, at(layout.length(), 48));
    NaivePasses.Pass pass = layout.passes().get(0);
    assertEquals(Tiles.ceil(first + 26, PAGE), pass.pageCount());
    assertEquals(FIRST + 2, layout.ints().get(pass.pages() + 1));
    NaivePasses.Part part = pass.parts().get(0);
    assertEquals(1, part.tileCount());
    assertEquals(24, part.first());
    assertEquals(26, part.rows());
    int[] tile = Arrays.copyOfRange(layout.ints().values(), part.tiles(), part.tiles() + 6);
    assertEquals(0, tile[0]);
    assertEquals(0, tile[1]);
    assertEquals(26, tile[2]);
    assertEquals(at(layout.pageStart(), 0), tile[3]);
    assertEquals(0, tile[4]);
    assertEquals(first + 26, tile[5]);
  }

  /** Random prompts: each naive row is in one tile of its own sequence, which holds its entries. */
  @Test
  void everyNaiveRowIsInOneTile() {
    Random random = new Random(1);
    for (int round = 0; round < 20; round++) {
      Step step = new Step(20_000, 40);
      int sequences = 1 + random.nextInt(12);
      for (int s = 0; s < sequences; s++) {
        step.beginSequence(table(1000 * s, 200));
        int from = random.nextInt(3000);
        addPrompt(step, from, from + 1 + random.nextInt(1500));
      }
      layout.fill(step, step.tokens());
      int[] seen = new int[step.tokens()];
      for (NaivePasses.Pass pass : layout.passes()) {
        int previous = 0;
        for (NaivePasses.Part part : pass.parts()) {
          assertTrue(part.first() % 8 == 0 && part.rows() <= NaivePasses.PART_ROWS);
          assertTrue(part.first() >= previous);
          previous = part.first();
          for (int t = 0; t < part.tileCount(); t++) {
            int[] tile =
                Arrays.copyOfRange(
                    layout.ints().values(), part.tiles() + 6 * t, part.tiles() + 6 * t + 6);
            assertTrue(tile[0] % 8 == 0 && tile[2] <= tile[0] + 128 && tile[2] <= part.rows());
            int keys = pass.pages() + tile[4] / PAGE;
            for (int row = tile[1]; row < tile[2]; row++) {
              int t0 = part.first() + row;
              seen[t0]++;
              assertTrue(at(layout.length(), t0) <= tile[5]);
              assertEquals(page(t0, tile[5] - 1), layout.ints().get(keys + (tile[5] - 1) / PAGE));
              assertEquals(at(layout.pageStart(), t0), tile[3]);
            }
          }
        }
      }
      for (int t = 0; t < step.tokens(); t++) {
        assertEquals(PagedLayout.isNaive(step, t) ? 1 : 0, seen[t], "token " + t);
      }
      boolean[] absorbed = new boolean[step.tokens()];
      for (AbsorbedRanges.Range range : layout.ranges()) {
        assertTrue(range.first() % 8 == 0 && range.rows() <= AbsorbedRanges.ROWS);
        for (int i = 0; i < range.rows(); i++) {
          int row =
              range.numbers().isPresent() ? at(range.numbers().getAsInt(), i) : range.first() + i;
          assertFalse(absorbed[row]);
          absorbed[row] = true;
          assertEquals(at(layout.absorbedLength(), row), at(range.length(), i));
        }
      }
      for (int t = 0; t < step.tokens(); t++) {
        assertTrue(absorbed[t] || PagedLayout.isNaive(step, t), "token " + t);
      }
    }
  }

  @Test
  void aTriesTokenSeesCopiesOfWhatLiesAfterItsLastWholePage() {
    Step step = new Step(16, 1);
    step.beginSequence(table(0, 4));
    step.addTreeToken(9, 131, 140, 130, new int[] {135}, 1);
    layout.fill(step, 1);
    assertFalse(layout.isPlain());
    assertEquals(132, at(layout.length(), 0));
    assertEquals(FIRST, page(0, 0));
    assertEquals(FIRST + 2, page(0, 64));
    assertEquals(PageCache.FIRST_TRIE_PAGE, page(0, 128));
    AbsorbedRanges.Range range = layout.ranges().get(0);
    int third = (FIRST + 4) * PAGE;
    int own = PageCache.FIRST_TRIE_PAGE * PAGE;
    assertEquals(4, range.copies());
    int[] ints = layout.ints().values();
    assertEquals(
        Arrays.toString(new int[] {third, third + 1, third + 7, third + 12}),
        Arrays.toString(Arrays.copyOfRange(ints, range.copyFrom(), range.copyFrom() + 4)));
    assertEquals(
        Arrays.toString(new int[] {own, own + 1, own + 2, own + 3}),
        Arrays.toString(Arrays.copyOfRange(ints, range.copyTo(), range.copyTo() + 4)));
  }

  @Test
  void triesShareTheSparePagesRangeByRange() {
    Step step = new Step(2000, 1);
    step.beginSequence(table(0, 100));
    for (int t = 0; t < 600; t++) {
      step.addTreeToken(9, 30, 30 + t, 30, new int[0], 0);
    }
    layout.fill(step, step.tokens());
    assertEquals(3, layout.ranges().size());
    for (AbsorbedRanges.Range range : layout.ranges()) {
      for (int i = 0; i < range.copies(); i++) {
        int page = layout.ints().get(range.copyTo() + i) / PAGE;
        assertTrue(page >= PageCache.FIRST_TRIE_PAGE && page < FIRST, "page " + page);
      }
    }
    Step tooLong = new Step(16, 1);
    tooLong.beginSequence(table(0, 400));
    tooLong.addTreeToken(9, 1, 17_000, 1, new int[17_000], 17_000);
    assertThrows(MoontideException.class, () -> layout.fill(tooLong, 1));
  }

  @Test
  void longRowsBecomeItemsOfTheirOwnWhereRowsAreFew() {
    Step step = new Step(300, 300);
    for (int s = 0; s < 64; s++) {
      step.beginSequence(table(0, 100));
      step.addToken(1, 4095);
    }
    layout.fill(step, 64);
    assertEquals(4, layout.ranges().get(0).longest());
    assertEquals(256, layout.ranges().get(0).pieces());
    assertTrue(AbsorbedAttention.isPlanned(layout.ranges().get(0)));
    step.clear();
    step.beginSequence(table(0, 100));
    step.addToken(1, 1023);
    layout.fill(step, 1);
    assertFalse(AbsorbedAttention.isPlanned(layout.ranges().get(0)));
  }
}
