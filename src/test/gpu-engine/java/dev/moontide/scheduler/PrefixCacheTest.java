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
package dev.moontide.scheduler;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.api.GenerationRequest;
import dev.moontide.api.Objective;
import dev.moontide.api.TokenIds;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

class PrefixCacheTest {
  /** Every block has the same hash, so only comparison tells them apart. */
  private static PrefixCache colliding(int blockSize) {
    return new PrefixCache(20, blockSize) {
      @Override
      long extend(long h, TokenIds prompt, int from, int to) {
        return 5;
      }
    };
  }

  /** Enters all full blocks of {@code prompt} as {@code blocks}. */
  private static void enter(PrefixCache cache, int[] prompt, int... blocks) {
    Sequence sequence =
        new ScoredSequence(
            new GenerationRequest(0, TokenIds.of(prompt), new Objective.Score()), s -> {});
    for (int i = 0; i < blocks.length; i++) {
      sequence.append(blocks[i]);
      assertEquals(blocks[i], cache.enter(sequence, 2 * i, Math.min(prompt.length, 2 * i + 2)));
      sequence.share(blocks[i]);
    }
    cache.checkIntegrity();
  }

  private static void assertFound(PrefixCache cache, int[] prompt, int... blocks) {
    int[] found = new int[20];
    int count = cache.match(TokenIds.of(prompt), prompt.length, found);
    assertArrayEquals(blocks, Arrays.copyOf(found, count));
  }

  @Test
  void collisionsNeverReturnAnotherPromptsBlock() {
    PrefixCache cache = colliding(2);
    enter(cache, new int[] {1, 2, 3, 4}, 7, 3);
    enter(cache, new int[] {9, 9, 3, 4}, 8, 4);
    enter(cache, new int[] {3, 4, 3, 4}, 1, 2);
    assertFound(cache, new int[] {1, 2, 3, 4}, 7, 3);
    assertFound(cache, new int[] {9, 9, 3, 4}, 8, 4);
    assertFound(cache, new int[] {3, 4, 3, 4, 3, 4}, 1, 2);
    assertFound(cache, new int[] {1, 2, 3, 5}, 7);
    assertFound(cache, new int[] {2, 1, 3, 4});
  }

  @Test
  void removedBlocksAreNotFound() {
    PrefixCache cache = colliding(2);
    enter(cache, new int[] {1, 2, 3, 4}, 7, 3);
    enter(cache, new int[] {9, 9, 3, 4}, 8, 4);
    cache.remove(3);
    cache.remove(4);
    cache.remove(8);
    cache.checkIntegrity();
    assertFound(cache, new int[] {1, 2, 3, 4}, 7);
    assertFound(cache, new int[] {9, 9, 3, 4});
    enter(cache, new int[] {9, 9}, 3);
    assertFound(cache, new int[] {9, 9, 3, 4}, 3);
  }

  @Test
  void contentThatIsThereStaysWhereItIs() {
    PrefixCache cache = new PrefixCache(20, 2);
    enter(cache, new int[] {1, 2}, 7);
    Sequence twin =
        new ScoredSequence(
            new GenerationRequest(0, TokenIds.of(1, 2), new Objective.Score()), s -> {});
    twin.append(5);
    assertEquals(7, cache.enter(twin, 0, 2));
    assertTrue(!cache.contains(5));
  }

  @Test
  void theLongestBeginningOfABlockIsFound() {
    for (PrefixCache cache : List.of(new PrefixCache(20, 8), colliding(8))) {
      enterUnits(cache, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9);
      enterUnits(cache, 4, 1, 2, 3, 4, 7, 7, 7, 7, 9);
      // Whole blocks are shared by match, not copied; units are of four tokens.
      assertBeginning(cache, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8);
      assertBeginning(cache, 3, 4, 1, 2, 3, 4, 9, 9, 9, 9, 9);
      assertBeginning(cache, -1, 0, 1, 2, 3, 9, 9, 9, 9, 9, 9);
      assertBeginning(cache, -1, 0, 1, 2, 3);
      cache.remove(3);
      cache.checkIntegrity();
      // The second block's beginning was there before it, so it went with the first block.
      assertBeginning(cache, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8);
      enterUnits(cache, 5, 1, 2, 3, 4, 9);
      assertBeginning(cache, 5, 4, 1, 2, 3, 4, 7, 7, 7, 7);
      assertTrue(cache.containsWhole(4) && !cache.containsWhole(5) && cache.contains(5));
    }
  }

  private static void enterUnits(PrefixCache cache, int block, int... prompt) {
    Sequence sequence =
        new ScoredSequence(
            new GenerationRequest(0, TokenIds.of(prompt), new Objective.Score()), s -> {});
    sequence.append(block);
    cache.enter(sequence, 0, Math.min(8, prompt.length / 4 * 4));
    cache.checkIntegrity();
  }

  private static void assertBeginning(PrefixCache cache, int block, int tokens, int... prompt) {
    int beginning = cache.beginning(TokenIds.of(prompt), 0, new int[20], prompt.length);
    assertEquals(tokens, cache.tokens(beginning));
    assertEquals(block, beginning == PrefixCache.NONE ? -1 : cache.block(beginning));
  }
}
