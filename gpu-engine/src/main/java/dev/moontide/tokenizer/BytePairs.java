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

import com.knuddels.jtokkit.api.IntArrayList;

/**
 * Merges the byte pairs of short pieces: again and again the neighbours whose union has the lowest
 * rank, the first of equals. Keeps its arrays from piece to piece; for one thread.
 */
final class BytePairs {
  /** Longest piece, in bytes: the time a piece takes grows with its square. */
  static final int MAX_BYTES = 128;

  private static final int MAX_BYTES_OF_CHARACTER = 3; // of UTF-16; a pair has four

  private final RankTable ranks;
  private final byte[] bytes = new byte[MAX_BYTES + MAX_BYTES_OF_CHARACTER];

  /** Where the parts begin that are not yet merged, and the end. */
  private final int[] starts = new int[MAX_BYTES + 1];

  /** Rank of each part's union with the next. */
  private final int[] unions = new int[MAX_BYTES];

  BytePairs(RankTable ranks) {
    this.ranks = ranks;
  }

  /**
   * Appends the tokens of the piece {@code text[from, to)}.
   *
   * @return false if it is too long, and nothing was appended
   */
  boolean encode(String text, int from, int to, IntArrayList tokens) {
    int length = toUtf8(text, from, to);
    if (length > MAX_BYTES) {
      return false;
    }
    int whole = ranks.rank(bytes, 0, length);
    if (whole == RankTable.NONE) {
      merge(length, tokens);
    } else {
      tokens.add(whole);
    }
    return true;
  }

  /** Fills {@code bytes}; gives more than {@link #MAX_BYTES} if there are more. */
  private int toUtf8(String text, int from, int to) {
    int length = 0;
    for (int i = from; i < to && length <= MAX_BYTES; i++) {
      char c = text.charAt(i);
      if (c < 0x80) {
        bytes[length++] = (byte) c;
      } else if (c < 0x800) {
        bytes[length++] = (byte) (0xC0 | (c >> 6));
        bytes[length++] = (byte) (0x80 | (c & 0x3F));
      } else if (!Character.isHighSurrogate(c)) {
        bytes[length++] = (byte) (0xE0 | (c >> 12));
        bytes[length++] = (byte) (0x80 | ((c >> 6) & 0x3F));
        bytes[length++] = (byte) (0x80 | (c & 0x3F));
      } else if (length + 4 > bytes.length) {
        return MAX_BYTES + 1;
      } else {
        int point = Character.toCodePoint(c, text.charAt(++i));
        bytes[length++] = (byte) (0xF0 | (point >> 18));
        bytes[length++] = (byte) (0x80 | ((point >> 12) & 0x3F));
        bytes[length++] = (byte) (0x80 | ((point >> 6) & 0x3F));
        bytes[length++] = (byte) (0x80 | (point & 0x3F));
      }
    }
    return length;
  }

  private void merge(int length, IntArrayList tokens) {
    int parts = length;
    for (int i = 0; i <= length; i++) {
      starts[i] = i;
    }
    for (int i = 0; i < parts; i++) {
      unions[i] = union(i, parts);
    }
    while (true) {
      int lowest = RankTable.NONE;
      int at = -1;
      for (int i = 0; i < parts - 1; i++) {
        if (unions[i] < lowest) {
          lowest = unions[i];
          at = i;
        }
      }
      if (at < 0) {
        break;
      }
      System.arraycopy(starts, at + 2, starts, at + 1, parts - at - 1);
      System.arraycopy(unions, at + 2, unions, at + 1, parts - at - 2);
      parts--;
      unions[at] = union(at, parts);
      if (at > 0) {
        unions[at - 1] = union(at - 1, parts);
      }
    }
    for (int i = 0; i < parts; i++) {
      tokens.add(ranks.rank(bytes, starts[i], starts[i + 1]));
    }
  }

  private int union(int part, int parts) {
    return part + 2 > parts ? RankTable.NONE : ranks.rank(bytes, starts[part], starts[part + 2]);
  }
}
