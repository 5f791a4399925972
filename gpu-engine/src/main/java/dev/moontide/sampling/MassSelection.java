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
package dev.moontide.sampling;

import java.util.Arrays;

/**
 * Chooses the largest masses of a row without sorting it. The order is by mass, the lower index
 * first among equals; the selection is the beginning of that order, kept as a threshold: every mass
 * above it and the first few equal to it.
 *
 * <p>Masses are counted into buckets of 1/64 octave; only the bucket in which the selection ends is
 * sorted. Two passes over the row for each of top-k and top-p at most, whatever its distribution.
 */
final class MassSelection {
  private static final int BUCKET_BITS = 6;
  private static final int SHIFT = 52 - BUCKET_BITS;
  private static final int LOWEST = 1023 << BUCKET_BITS;
  private static final int BUCKETS = (40 << BUCKET_BITS) + 1;

  private final long[] masses;
  private final long[] bucket;
  private final int[] counts = new int[BUCKETS];
  private final long[] sums = new long[BUCKETS];

  private long threshold;
  private int equalsKept;
  private long total;

  /** Selects among {@code masses}, which is read, never written. */
  MassSelection(long[] masses) {
    this.masses = masses;
    bucket = new long[masses.length];
  }

  /**
   * Keeps masses of at least {@code least} (positive), of those the {@code topK} largest, and of
   * those the fewest that reach {@code topP} of their sum.
   *
   * @param topK 0 keeps all
   * @param topP in (0, 1]; 1 keeps all
   */
  void select(long least, int topK, double topP) {
    int count = 0;
    total = 0;
    boolean isCut = topK > 0 || topP < 1;
    if (isCut) {
      Arrays.fill(counts, 0);
      Arrays.fill(sums, 0);
    }
    for (long mass : masses) {
      if (mass >= least) {
        count++;
        total += mass;
        if (isCut) {
          int b = bucketOf(mass);
          counts[b]++;
          sums[b] += mass;
        }
      }
    }
    threshold = least - 1;
    equalsKept = 0;
    if (topK > 0 && topK < count) {
      cut(least, topK, Long.MAX_VALUE);
    }
    if (topP < 1) {
      cut(least, Integer.MAX_VALUE, Math.min(total, (long) Math.ceil(topP * total)));
    }
  }

  /** Ends the selection at the token that makes it {@code count} tokens or {@code sum} mass. */
  private void cut(long least, int count, long sum) {
    int b = BUCKETS - 1;
    int tokens = 0;
    long mass = 0;
    while (tokens + counts[b] < count && mass + sums[b] < sum) {
      tokens += counts[b];
      mass += sums[b];
      b--;
    }
    int n = 0;
    for (long m : masses) {
      if (m >= least && bucketOf(m) == b) {
        bucket[n++] = m;
      }
    }
    Arrays.sort(bucket, 0, n);
    equalsKept = 0;
    do {
      long m = bucket[--n];
      equalsKept = m == threshold ? equalsKept + 1 : 1;
      threshold = m;
      tokens++;
      mass += m;
    } while (tokens < count && mass < sum);
    total = mass;
  }

  private static int bucketOf(long mass) {
    return (int) (Double.doubleToRawLongBits((double) mass) >>> SHIFT) - LOWEST;
  }

  /** The selection's sum. */
  long total() {
    return total;
  }

  /**
   * The token at which the running sum over the selection, in the order of the vocabulary, first
   * exceeds {@code target}, which is at least 0 and below {@link #total()}.
   */
  int locate(long target) {
    long sum = 0;
    int equals = equalsKept;
    for (int i = 0; i < masses.length; i++) {
      long mass = masses[i];
      if (mass > threshold || (mass == threshold && equals-- > 0)) {
        sum += mass;
        if (sum > target) {
          return i;
        }
      }
    }
    throw new IllegalStateException("no token at " + target + " of " + total);
  }
}
