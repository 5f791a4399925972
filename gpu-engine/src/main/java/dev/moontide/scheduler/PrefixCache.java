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
 * Finds beginnings of prompts in the latent cache by content. A block's prompt tokens are entered a
 * unit of a few tokens at a time, and each of its beginnings of whole units can be found: the full
 * block, to be shared as it is, or a shorter one, to be copied into a block that goes on
 * differently. A beginning is identified by the block's parent, the full block of the tokens before
 * it, and its own tokens; since the parent is a cached block itself, the chain identifies the whole
 * beginning of a prompt. The hash only finds candidates: parent and tokens are compared, so a
 * collision costs time and never returns another prompt's block.
 *
 * <p>Also notes which beginnings the step being composed is about to compute, so that a sequence
 * that needs the same one can wait for it.
 *
 * <p>Blocks are entered and removed by the scheduler and the {@link BlockPool}; children are
 * removed before their parents.
 */
class PrefixCache {
  /** What {@link #beginning} returns when it finds nothing. */
  static final int NONE = -1;

  /** Tokens in a unit, where a block holds a whole number of units. */
  private static final int UNIT = 4;

  private final int blockSize;
  private final int blocks;
  private final int unit;

  /** Units in a block. Beginning {@code u} of block {@code b} is number {@code b * units + u}. */
  private final int units;

  /** Heads of the hash chains of beginnings; the chains end at {@link #NONE}. */
  private final int[] heads;

  // By beginning.
  private final int[] next;
  private final boolean[] indexed;
  private final long[] hash;

  // By block.
  private final int[] indexedUnits;
  private final int[] parent;
  private final int[] tokens;

  /** Hashes of the beginnings being computed, in the first {@link #announced} places. */
  private long[] announcements = new long[64];

  private int announced;

  PrefixCache(int blocks, int blockSize) {
    this.blocks = blocks;
    this.blockSize = blockSize;
    unit = blockSize % UNIT == 0 ? UNIT : 1;
    units = blockSize / unit;
    int beginnings = Math.multiplyExact(blocks, units);
    heads = new int[Math.max(16, Integer.highestOneBit(beginnings))];
    Arrays.fill(heads, NONE);
    next = new int[beginnings];
    indexed = new boolean[beginnings];
    hash = new long[beginnings];
    indexedUnits = new int[blocks];
    parent = new int[blocks];
    tokens = new int[Math.multiplyExact(blocks, blockSize)];
  }

  /** Whether a beginning of {@code block} can be found. */
  boolean contains(int block) {
    return indexedUnits[block] > 0;
  }

  /** Whether all of {@code block} can be found. */
  boolean containsWhole(int block) {
    return indexed[block * units + units - 1];
  }

  /** Whether {@code block}, which is cached, has a parent: it does not start a prompt. */
  boolean hasParent(int block) {
    return parent[block] < blocks;
  }

  int parent(int block) {
    return parent[block];
  }

  /** The largest number of tokens in whole units, at most {@code count}. */
  int wholeUnits(int count) {
    return count / unit * unit;
  }

  // ---- looking up ----------------------------------------------------------------------------

  /**
   * Looks up the full blocks among the first {@code limit} tokens of {@code prompt}.
   *
   * @param found receives the blocks
   * @return how many leading blocks are cached
   */
  int match(TokenIds prompt, int limit, int[] found) {
    int full = limit / blockSize;
    int before = blocks;
    for (int i = 0; i < full; i++) {
      int from = i * blockSize;
      long h = extend(before, prompt, from, from + blockSize);
      int at = find(before, prompt, from, units, h);
      if (at == NONE) {
        return i;
      }
      before = at / units;
      found[i] = before;
    }
    return full;
  }

  /**
   * The longest beginning of a block that goes on a prompt after {@code count} found blocks, within
   * the first {@code limit} tokens and short of a full block; or {@link #NONE}.
   */
  int beginning(TokenIds prompt, int count, int[] found, int limit) {
    int before = before(count, found);
    int from = count * blockSize;
    int most = Math.min(units - 1, (limit - from) / unit);
    int longest = NONE;
    long h = before;
    for (int u = 1; u <= most; u++) {
      h = extend(h, prompt, from + (u - 1) * unit, from + u * unit);
      int at = find(before, prompt, from, u, h);
      longest = at == NONE ? longest : at;
    }
    return longest;
  }

  /** The block that {@code beginning} is of. */
  int block(int beginning) {
    return beginning / units;
  }

  /** Tokens of {@code beginning}; of {@link #NONE} 0. */
  int tokens(int beginning) {
    return beginning == NONE ? 0 : (beginning % units + 1) * unit;
  }

  private int before(int count, int[] found) {
    return count == 0 ? blocks : found[count - 1];
  }

  /** The beginning of {@code count} units after {@code parent} as in {@code prompt}, or none. */
  private int find(int parent, TokenIds prompt, int from, int count, long h) {
    int at = heads[bucket(h)];
    while (at != NONE && !holds(at, parent, prompt, from, count, h)) {
      at = next[at];
    }
    return at;
  }

  private boolean holds(int at, int parent, TokenIds prompt, int from, int count, long h) {
    int block = at / units;
    if (hash[at] != h || this.parent[block] != parent || at % units != count - 1) {
      return false;
    }
    for (int i = 0; i < count * unit; i++) {
      if (tokens[block * blockSize + i] != prompt.get(from + i)) {
        return false;
      }
    }
    return true;
  }

  // ---- entering and removing -----------------------------------------------------------------

  /**
   * Enters the units of {@code [from, to)} of {@code sequence}'s prompt, which lie in one block of
   * its table; the blocks before it are cached, and so, there or elsewhere, are its tokens before
   * {@code from}.
   *
   * @return the block that holds all tokens up to {@code to}: the sequence's own, or the one that
   *     was there before
   */
  int enter(Sequence sequence, int from, int to) {
    int index = from / blockSize;
    int block = sequence.block(index);
    int before = before(sequence, index);
    TokenIds prompt = sequence.prompt();
    int start = index * blockSize;
    long h = extend(before, prompt, start, from);
    int last = block;
    for (int end = from + unit; end <= to; end += unit) {
      h = extend(h, prompt, end - unit, end);
      int count = (end - start) / unit;
      int existing = find(before, prompt, start, count, h);
      if (existing == NONE) {
        parent[block] = before;
        prompt.copyTo(start, end, tokens, block * blockSize);
        insert(block * units + count - 1, h);
      }
      last = existing == NONE ? block : existing / units;
    }
    return last;
  }

  private int before(Sequence sequence, int index) {
    return index == 0 ? blocks : sequence.block(index - 1);
  }

  private void insert(int at, long h) {
    indexed[at] = true;
    indexedUnits[at / units]++;
    hash[at] = h;
    next[at] = heads[bucket(h)];
    heads[bucket(h)] = at;
  }

  /** Removes a block without cached children. */
  void remove(int block) {
    for (int at = block * units; at < (block + 1) * units; at++) {
      if (indexed[at]) {
        unlink(at);
      }
    }
    indexedUnits[block] = 0;
  }

  private void unlink(int at) {
    int bucket = bucket(hash[at]);
    if (heads[bucket] == at) {
      heads[bucket] = next[at];
    } else {
      int before = heads[bucket];
      while (next[before] != at) {
        before = next[before];
      }
      next[before] = next[at];
    }
    indexed[at] = false;
  }

  // ---- what is being computed ----------------------------------------------------------------

  /** Forgets the last step's announcements. */
  void beginStep() {
    announced = 0;
  }

  /**
   * Notes that a step computes the next {@code count} prompt tokens of {@code sequence}, whose full
   * blocks before them are cached. Its next unit suffices: who needs more than that needs it too.
   */
  void announce(Sequence sequence, int count) {
    int end = wholeUnits(sequence.computed()) + unit;
    if (end > sequence.computed() + count) {
      return;
    }
    int index = (end - unit) / blockSize;
    long h = extend(before(sequence, index), sequence.prompt(), index * blockSize, end);
    if (!isAnnounced(h)) {
      if (announced == announcements.length) {
        announcements = Arrays.copyOf(announcements, 2 * announced);
      }
      announcements[announced++] = h;
    }
  }

  /**
   * Whether the unit of {@code prompt} that follows {@code count} found blocks and {@code
   * beginning}, and lies within the first {@code limit} tokens, is being computed. Goes by the hash
   * alone: a collision makes a sequence wait a step, no more.
   */
  boolean isAnnounced(TokenIds prompt, int count, int[] found, int beginning, int limit) {
    int from = count * blockSize;
    int end = from + tokens(beginning) + unit;
    return announced > 0
        && end <= limit
        && isAnnounced(extend(before(count, found), prompt, from, end));
  }

  private boolean isAnnounced(long h) {
    for (int i = 0; i < announced; i++) {
      if (announcements[i] == h) {
        return true;
      }
    }
    return false;
  }

  /**
   * The hash {@code h} of a beginning, at first its parent, with tokens {@code [from, to)} added. A
   * test overrides this to make everything collide.
   */
  long extend(long h, TokenIds prompt, int from, int to) {
    for (int i = from; i < to; i++) {
      h = (h ^ prompt.get(i)) * 0x9E3779B97F4A7C15L;
      h ^= h >>> 29;
    }
    return h;
  }

  private int bucket(long h) {
    return (int) (h ^ (h >>> 32)) & (heads.length - 1);
  }

  /** Checks that every cached beginning is found by its content and only cached ones are. */
  void checkIntegrity() {
    int chained = 0;
    for (int head : heads) {
      for (int at = head; at != NONE; at = next[at]) {
        int block = at / units;
        check(indexed[at], block, "chained but not cached");
        check(!hasParent(block) || containsWhole(parent[block]), block, "without its parent");
        TokenIds content =
            TokenIds.copyOfRange(tokens, block * blockSize, block * blockSize + tokens(at));
        int count = at % units + 1;
        check(find(parent[block], content, 0, count, hash[at]) == at, block, "not found");
        chained++;
      }
    }
    for (int block = 0; block < blocks; block++) {
      chained -= indexedUnits[block];
    }
    if (chained != 0) {
      throw new IllegalStateException(chained + " more beginnings chained than cached");
    }
  }

  private static void check(boolean holds, int block, String state) {
    if (!holds) {
      throw new IllegalStateException("cached block " + block + " is " + state);
    }
  }
}
