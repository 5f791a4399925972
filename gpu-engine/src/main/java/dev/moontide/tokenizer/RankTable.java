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
package dev.moontide.tokenizer;

/** Finds a token's rank by its bytes: a hash table without an object a token. Immutable. */
final class RankTable {
  /** The rank of what is no token: higher than any. */
  static final int NONE = Integer.MAX_VALUE;

  private final byte[] bytes;

  /** Where in {@code bytes} the token of each rank begins, and where the last ends. */
  private final int[] starts;

  /** Ranks, each at its hash or after it, plus 1; 0 where there is none. */
  private final int[] slots;

  private final int longest;

  /**
   * @param tokens bytes by rank, no two equal, none empty
   */
  RankTable(byte[][] tokens) {
    starts = new int[tokens.length + 1];
    int longestToken = 0;
    for (int rank = 0; rank < tokens.length; rank++) {
      starts[rank + 1] = Math.addExact(starts[rank], tokens[rank].length);
      longestToken = Math.max(longestToken, tokens[rank].length);
    }
    longest = longestToken;
    bytes = new byte[starts[tokens.length]];
    slots = new int[4 * Integer.highestOneBit(Math.max(1, tokens.length))];
    for (int rank = 0; rank < tokens.length; rank++) {
      byte[] token = tokens[rank];
      System.arraycopy(token, 0, bytes, starts[rank], token.length);
      int slot = slot(token, 0, token.length);
      while (slots[slot] != 0) {
        slot = (slot + 1) & (slots.length - 1);
      }
      slots[slot] = rank + 1;
    }
  }

  private int slot(byte[] text, int from, int to) {
    int hash = to - from;
    for (int i = from; i < to; i++) {
      hash = hash * 0x01000193 + text[i];
    }
    hash *= 0x9E3779B9;
    return (hash ^ (hash >>> 15)) & (slots.length - 1);
  }

  /** The rank of {@code text[from, to)}, or {@link #NONE}. */
  int rank(byte[] text, int from, int to) {
    if (to - from > longest) {
      return NONE;
    }
    int slot = slot(text, from, to);
    while (slots[slot] != 0) {
      int rank = slots[slot] - 1;
      if (isToken(rank, text, from, to)) {
        return rank;
      }
      slot = (slot + 1) & (slots.length - 1);
    }
    return NONE;
  }

  private boolean isToken(int rank, byte[] text, int from, int to) {
    int start = starts[rank];
    int length = to - from;
    if (starts[rank + 1] - start != length) {
      return false;
    }
    for (int i = 0; i < length; i++) {
      if (bytes[start + i] != text[from + i]) {
        return false;
      }
    }
    return true;
  }
}
