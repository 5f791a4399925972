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
package dev.moontide.api;

import java.util.Arrays;

/**
 * An immutable sequence of token ids.
 *
 * <p>Equality is by content, so token ids can key a map.
 */
public final class TokenIds {
  private static final TokenIds EMPTY = new TokenIds(new int[0]);

  private final int[] ids;

  private TokenIds(int[] ids) {
    this.ids = ids;
  }

  /** Copies {@code ids}. */
  public static TokenIds of(int... ids) {
    return ids.length == 0 ? EMPTY : new TokenIds(ids.clone());
  }

  /** Copies {@code ids[from, to)}. */
  public static TokenIds copyOfRange(int[] ids, int from, int to) {
    return from == to ? EMPTY : new TokenIds(Arrays.copyOfRange(ids, from, to));
  }

  /** Number of tokens. */
  public int length() {
    return ids.length;
  }

  /** The token at {@code index}, counted from 0. */
  public int get(int index) {
    return ids[index];
  }

  /** Copies tokens {@code [from, to)} into {@code target} at {@code offset}. */
  public void copyTo(int from, int to, int[] target, int offset) {
    System.arraycopy(ids, from, target, offset, to - from);
  }

  /** How many tokens both begin with. */
  public int commonPrefix(TokenIds other) {
    int mismatch = Arrays.mismatch(ids, other.ids);
    return mismatch < 0 ? ids.length : mismatch;
  }

  /** A copy as an array. */
  public int[] toArray() {
    return ids.clone();
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof TokenIds that && Arrays.equals(ids, that.ids);
  }

  @Override
  public int hashCode() {
    return Arrays.hashCode(ids);
  }

  @Override
  public String toString() {
    return Arrays.toString(ids);
  }
}
