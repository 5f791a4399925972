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
package dev.moontide.tensor;

import dev.moontide.api.TokenRanges;
import java.nio.LongBuffer;

/**
 * Which tokens of a vocabulary may be drawn. Immutable; told apart by identity, as its bits go to a
 * device once for all draws that share the object.
 */
public final class TokenMask {
  private final int size;

  /**
   * Bit {@code i % 64} of word {@code i / 64} says that token i is allowed; none beyond the last.
   */
  private final long[] words;

  /** Whether any is set. */
  private final boolean empty;

  private TokenMask(int size, long[] words) {
    this.size = size;
    this.words = words;
    long any = 0;
    for (long word : words) {
      any |= word;
    }
    empty = any == 0;
  }

  /**
   * A mask of {@code size} tokens.
   *
   * @param words whose bit {@code i % 64} of word {@code i / 64} says that token i is allowed; bits
   *     beyond the vocabulary are ignored; copied
   */
  public static TokenMask of(int size, long... words) {
    if (words.length != words(size)) {
      throw new IllegalArgumentException(
          "a mask of %d tokens has %d words, not %d".formatted(size, words(size), words.length));
    }
    long[] copy = words.clone();
    if (size % Long.SIZE > 0) {
      copy[copy.length - 1] &= (1L << size) - 1;
    }
    return new TokenMask(size, copy);
  }

  /** A mask of {@code size} tokens that allows those of {@code ranges}, all below {@code size}. */
  public static TokenMask of(int size, TokenRanges ranges) {
    long[] words = new long[words(size)];
    for (int i = 0; i < ranges.count(); i++) {
      for (int token = ranges.first(i); token <= ranges.last(i); token++) {
        words[token / Long.SIZE] |= 1L << token;
      }
    }
    return new TokenMask(size, words);
  }

  /** Words of 64 tokens in a mask of {@code size} tokens. */
  public static int words(int size) {
    return (size + Long.SIZE - 1) / Long.SIZE;
  }

  /** Tokens of the vocabulary. */
  public int size() {
    return size;
  }

  /** Whether no token is allowed. */
  public boolean isEmpty() {
    return empty;
  }

  /** Whether {@code token} is allowed. */
  public boolean allows(int token) {
    return (words[token / Long.SIZE] >>> token & 1) != 0;
  }

  /** Puts the words there. */
  public void copyTo(LongBuffer target) {
    target.put(words);
  }
}
