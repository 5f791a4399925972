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

/**
 * Who holds which block of the latent cache. A block is <i>free</i>, <i>held</i> by one or more
 * sequences, or <i>idle</i>: held by none, but kept in the prefix cache until its room is needed,
 * least recently released first.
 *
 * <p>A sequence releases its blocks last to first, and holds a block's parents wherever it holds
 * the block; so a block always goes idle before its parent does, and is evicted before it.
 */
final class BlockPool {
  private final PrefixCache cache;
  private final int blocks;
  private final int[] holders;

  private final int[] free;
  private int freeCount;

  /** The idle blocks as a ring in order of release; {@link #blocks} is its head, no block. */
  private final int[] next;

  private final int[] previous;
  private int idleCount;

  BlockPool(int blocks, PrefixCache cache) {
    this.blocks = blocks;
    this.cache = cache;
    holders = new int[blocks];
    free = new int[blocks];
    for (int i = 0; i < blocks; i++) {
      free[i] = blocks - 1 - i;
    }
    freeCount = blocks;
    next = new int[blocks + 1];
    previous = new int[blocks + 1];
    next[blocks] = blocks;
    previous[blocks] = blocks;
  }

  /** Blocks there are. */
  int size() {
    return blocks;
  }

  /** Blocks {@link #allocate} can give: free and idle. */
  int available() {
    return freeCount + idleCount;
  }

  /** Sequences that hold {@code block}. */
  int holders(int block) {
    return holders[block];
  }

  /** A block for new content, held once; there must be one available. */
  int allocate() {
    int block;
    if (freeCount > 0) {
      block = free[--freeCount];
    } else {
      block = next[blocks];
      unlink(block);
      cache.remove(block);
    }
    holders[block] = 1;
    return block;
  }

  /** Holds a cached block once more. */
  void hold(int block) {
    if (holders[block]++ == 0) {
      unlink(block);
    }
  }

  /** Undoes one {@link #allocate} or {@link #hold}. */
  void release(int block) {
    if (--holders[block] > 0) {
      return;
    }
    if (cache.contains(block)) {
      next[block] = blocks;
      previous[block] = previous[blocks];
      next[previous[blocks]] = block;
      previous[blocks] = block;
      idleCount++;
    } else {
      free[freeCount++] = block;
    }
  }

  private void unlink(int block) {
    next[previous[block]] = next[block];
    previous[next[block]] = previous[block];
    idleCount--;
  }

  /** Checks that every block is in exactly one state and that children go idle before parents. */
  void checkIntegrity() {
    boolean[] found = new boolean[blocks];
    for (int i = 0; i < freeCount; i++) {
      check(holders[free[i]] == 0 && !cache.contains(free[i]) && !found[free[i]], free[i], "free");
      found[free[i]] = true;
    }
    int idle = 0;
    for (int block = next[blocks]; block < blocks; block = next[block]) {
      check(holders[block] == 0 && cache.contains(block) && !found[block], block, "idle");
      found[block] = true;
      idle++;
      if (cache.hasParent(block)) {
        check(!found[cache.parent(block)], block, "idle later than its parent");
      }
    }
    if (idle != idleCount) {
      throw new IllegalStateException(idle + " idle blocks, counted " + idleCount);
    }
    for (int block = 0; block < blocks; block++) {
      check(found[block] || holders[block] > 0, block, "lost");
      if (holders[block] > 0 && cache.contains(block) && cache.hasParent(block)) {
        check(holders[cache.parent(block)] > 0, block, "held without its parent");
      }
    }
  }

  private void check(boolean holds, int block, String state) {
    if (!holds) {
      throw new IllegalStateException(
          "block " + block + " is " + state + " with " + holders[block] + " holders");
    }
  }
}
