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

import dev.moontide.api.TokenIds;
import java.util.Arrays;

/**
 * Finds full blocks of prompt tokens by content. A block is identified by its parent, the block of
 * the tokens before it, and its own tokens; since the parent is a cached block itself, the chain
 * identifies the whole beginning of a prompt. The hash only finds candidates: parent and tokens are
 * compared, so a collision costs time and never returns another prompt's block.
 *
 * <p>Also notes which blocks the step being composed is about to compute, so that a sequence that
 * needs the same one can wait for it.
 *
 * <p>Blocks are entered and removed by the scheduler and the {@link BlockPool}; children are
 * removed before their parents.
 */
class PrefixCache {
  private final int blockSize;
  private final int blocks;

  /** Heads of the hash chains; the chains end at {@link #blocks}. */
  private final int[] heads;

  private final int[] next;
  private final boolean[] cached;
  private final int[] parent;
  private final long[] hash;
  private final int[] tokens;

  /** Hashes of the blocks being computed, in the first {@link #announced} places. */
  private long[] announcements = new long[64];

  private int announced;

  PrefixCache(int blocks, int blockSize) {
    this.blocks = blocks;
    this.blockSize = blockSize;
    heads = new int[Math.max(16, Integer.highestOneBit(blocks) * 2)];
    Arrays.fill(heads, blocks);
    next = new int[blocks];
    cached = new boolean[blocks];
    parent = new int[blocks];
    hash = new long[blocks];
    tokens = new int[Math.multiplyExact(blocks, blockSize)];
  }

  boolean contains(int block) {
    return cached[block];
  }

  /** Whether {@code block}, which is cached, has a parent: it does not start a prompt. */
  boolean hasParent(int block) {
    return parent[block] < blocks;
  }

  int parent(int block) {
    return parent[block];
  }

  /**
   * Looks up the first {@code limit} blocks of {@code prompt}.
   *
   * @param found receives the blocks
   * @return how many leading blocks are cached
   */
  int match(TokenIds prompt, int limit, int[] found) {
    int at = blocks;
    for (int i = 0; i < limit; i++) {
      at = find(at, prompt, i, hash(at, prompt, i));
      if (at == blocks) {
        return i;
      }
      found[i] = at;
    }
    return limit;
  }

  /** The cached block with these tokens after {@code parent}, or {@link #blocks}. */
  private int find(int parent, TokenIds prompt, int index, long hash) {
    int block = heads[bucket(hash)];
    while (block < blocks && !holds(block, parent, prompt, index, hash)) {
      block = next[block];
    }
    return block;
  }

  private boolean holds(int block, int parent, TokenIds prompt, int index, long hash) {
    if (this.hash[block] != hash || this.parent[block] != parent) {
      return false;
    }
    for (int i = 0; i < blockSize; i++) {
      if (tokens[block * blockSize + i] != prompt.get(index * blockSize + i)) {
        return false;
      }
    }
    return true;
  }

  /**
   * Enters block {@code index} of {@code sequence}'s table, whose blocks before it are cached.
   *
   * @return the block that holds this content: the sequence's own, or the one that was there before
   */
  int enter(Sequence sequence, int index) {
    int before = index == 0 ? blocks : sequence.block(index - 1);
    TokenIds prompt = sequence.prompt();
    long h = hash(before, prompt, index);
    int existing = find(before, prompt, index, h);
    if (existing < blocks) {
      return existing;
    }
    int block = sequence.block(index);
    cached[block] = true;
    parent[block] = before;
    hash[block] = h;
    prompt.copyTo(index * blockSize, (index + 1) * blockSize, tokens, block * blockSize);
    next[block] = heads[bucket(h)];
    heads[bucket(h)] = block;
    return block;
  }

  /** Removes a block without cached children. */
  void remove(int block) {
    int bucket = bucket(hash[block]);
    if (heads[bucket] == block) {
      heads[bucket] = next[block];
    } else {
      int before = heads[bucket];
      while (next[before] != block) {
        before = next[before];
      }
      next[before] = next[block];
    }
    cached[block] = false;
  }

  /** Forgets the last step's announcements. */
  void beginStep() {
    announced = 0;
  }

  /** Notes that {@code sequence} is about to complete the first block after its shared ones. */
  void announce(Sequence sequence) {
    int index = sequence.sharedBlocks();
    int before = index == 0 ? blocks : sequence.block(index - 1);
    long h = hash(before, sequence.prompt(), index);
    if (!isAnnounced(h)) {
      if (announced == announcements.length) {
        announcements = Arrays.copyOf(announcements, 2 * announced);
      }
      announcements[announced++] = h;
    }
  }

  /**
   * Whether the block of {@code prompt} that follows {@code count} found ones is being computed.
   * Goes by the hash alone: a collision makes a sequence wait a step, no more.
   */
  boolean isAnnounced(TokenIds prompt, int count, int[] found) {
    return announced > 0
        && isAnnounced(hash(count == 0 ? blocks : found[count - 1], prompt, count));
  }

  private boolean isAnnounced(long h) {
    for (int i = 0; i < announced; i++) {
      if (announcements[i] == h) {
        return true;
      }
    }
    return false;
  }

  /** A test overrides this to make everything collide. */
  long hash(int before, TokenIds prompt, int index) {
    long h = before;
    for (int i = index * blockSize; i < (index + 1) * blockSize; i++) {
      h = (h ^ prompt.get(i)) * 0x9E3779B97F4A7C15L;
      h ^= h >>> 29;
    }
    return h;
  }

  private int bucket(long h) {
    return (int) (h ^ (h >>> 32)) & (heads.length - 1);
  }

  /** Checks that every cached block is found by its content and only cached blocks are. */
  void checkIntegrity() {
    int chained = 0;
    for (int head : heads) {
      for (int block = head; block < blocks; block = next[block]) {
        check(cached[block], block, "chained but not cached");
        check(!hasParent(block) || cached[parent[block]], block, "cached without its parent");
        chained++;
      }
    }
    for (int block = 0; block < blocks; block++) {
      if (cached[block]) {
        TokenIds content = TokenIds.copyOfRange(tokens, block * blockSize, (block + 1) * blockSize);
        check(find(parent[block], content, 0, hash[block]) == block, block, "not found");
        chained--;
      }
    }
    if (chained != 0) {
      throw new IllegalStateException(chained + " more blocks chained than cached");
    }
  }

  private static void check(boolean holds, int block, String state) {
    if (!holds) {
      throw new IllegalStateException("cached block " + block + " is " + state);
    }
  }
}
