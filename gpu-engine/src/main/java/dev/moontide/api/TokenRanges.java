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

import java.io.Serializable;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;

/**
 * An immutable set of token ids, as ranges: at least one id, none below 0. Equality is by the ids,
 * however they were written.
 */
public final class TokenRanges implements Serializable {
  private static final long serialVersionUID = 1L;

  /** Ids {@code first} to {@code last}. */
  private record Range(int first, int last) {}

  /** First and last ids in turn, ascending, with a gap between one range and the next. */
  private final int[] bounds;

  private TokenRanges(int[] bounds) {
    this.bounds = bounds;
  }

  /**
   * Reads ids and ranges of ids, such as {@code 5} and {@code 7-9}, in any order.
   *
   * @param option named in errors
   * @throws MoontideException of category configuration
   */
  public static TokenRanges parse(String option, List<String> parts) {
    List<Range> ranges =
        parts.stream()
            .map(part -> range(option, part))
            .sorted(Comparator.comparingInt(Range::first))
            .toList();
    if (ranges.isEmpty()) {
      throw notAllowed(option, "empty");
    }
    int[] bounds = new int[2 * ranges.size()];
    int n = 0;
    for (Range range : ranges) {
      if (n > 0 && range.first <= bounds[n - 1] + 1L) {
        bounds[n - 1] = Math.max(bounds[n - 1], range.last);
      } else {
        bounds[n++] = range.first;
        bounds[n++] = range.last;
      }
    }
    return new TokenRanges(Arrays.copyOf(bounds, n));
  }

  private static Range range(String option, String part) {
    int dash = part.indexOf('-');
    try {
      int first = Integer.parseUnsignedInt((dash < 0 ? part : part.substring(0, dash)).strip());
      int last = dash < 0 ? first : Integer.parseUnsignedInt(part.substring(dash + 1).strip());
      if (0 <= first && first <= last) {
        return new Range(first, last);
      }
    } catch (NumberFormatException e) {
      // Told below.
    }
    throw notAllowed(option, part);
  }

  private static MoontideException notAllowed(String option, String value) {
    return MoontideException.configuration(
        "%s is %s: allowed are token ids and ranges of them, such as 5,7-9", option, value);
  }

  /** How many ranges there are. */
  public int count() {
    return bounds.length / 2;
  }

  /** The first id of range {@code i}; ranges ascend and do not touch. */
  public int first(int i) {
    return bounds[2 * i];
  }

  /** The last id of range {@code i}. */
  public int last(int i) {
    return bounds[2 * i + 1];
  }

  /** The largest id. */
  public int last() {
    return bounds[bounds.length - 1];
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof TokenRanges that && Arrays.equals(bounds, that.bounds);
  }

  @Override
  public int hashCode() {
    return Arrays.hashCode(bounds);
  }

  /** As {@link #parse} reads it. */
  @Override
  public String toString() {
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < count(); i++) {
      text.append(i == 0 ? "" : ",").append(first(i));
      if (last(i) > first(i)) {
        text.append('-').append(last(i));
      }
    }
    return text.toString();
  }
}
