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

import dev.moontide.api.SamplingParameters;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What is asked of rows of logits at once, and the answers: tokens to draw, and log-probabilities.
 * Reused from step to step: it keeps the size of the largest it has been.
 */
public final class LogitQueries {
  private final List<Draw> draws = new ArrayList<>();
  private int drawCount;
  private int[] seenTokens = new int[64];
  private int[] seenCounts = new int[64];
  private int seenCount;
  private final List<TokenMask> masks = new ArrayList<>();

  private int[] rows = new int[256];
  private int[] tokens = new int[256];
  private double[] logProbabilities = new double[256];
  private int count;

  /**
   * A token to be drawn from a row as {@code parameters} say. The random numbers are those of the
   * parameters' seed at (row key, sample index, position); the tokens that penalties look at are
   * {@code [seenStart, seenEnd)} of the queries'.
   */
  public static final class Draw {
    private int row;
    private SamplingParameters parameters = SamplingParameters.greedy(1);
    private long rowKey;
    private int sampleIndex;
    private int position;
    private int seenStart;
    private int seenEnd;
    private @Nullable TokenMask mask;
    private int maskIndex;
    private int token;
    private boolean answered;

    private Draw() {}

    /** The row of logits. */
    public int row() {
      return row;
    }

    public SamplingParameters parameters() {
      return parameters;
    }

    /** Identifies the request's row to the random numbers. */
    public long rowKey() {
      return rowKey;
    }

    /** Which of that row's samples it is. */
    public int sampleIndex() {
      return sampleIndex;
    }

    /** Where in its sequence the token will stand. */
    public int position() {
      return position;
    }

    /** Where its seen tokens start. */
    public int seenStart() {
      return seenStart;
    }

    /** Where they end. */
    public int seenEnd() {
      return seenEnd;
    }

    /** The tokens that may be drawn, penalised as they are; null allows all. */
    public @Nullable TokenMask mask() {
      return mask;
    }

    /** Which of the queries' masks that is, if there is one. */
    public int maskIndex() {
      return maskIndex;
    }

    /** The answer. */
    public void answer(int drawn) {
      token = drawn;
      answered = true;
    }

    /**
     * Whether there was something to draw: with the penalties, none of the logits of tokens that
     * are allowed is NaN or infinite but for -∞, and one is finite.
     */
    public boolean isAnswered() {
      return answered;
    }

    /** The token drawn. */
    public int token() {
      return token;
    }
  }

  /** Forgets all of it. */
  public void clear() {
    drawCount = 0;
    seenCount = 0;
    masks.clear();
    count = 0;
  }

  // ---- tokens --------------------------------------------------------------------------------

  /** Asks for a token by row {@code row}; see {@link Draw}. */
  public void draw(
      int row, SamplingParameters parameters, long rowKey, int sampleIndex, int position) {
    if (drawCount == draws.size()) {
      draws.add(new Draw());
    }
    Draw draw = draws.get(drawCount++);
    draw.row = row;
    draw.parameters = parameters;
    draw.rowKey = rowKey;
    draw.sampleIndex = sampleIndex;
    draw.position = position;
    draw.seenStart = seenCount;
    draw.seenEnd = seenCount;
    draw.mask = null;
    draw.answered = false;
  }

  /** Has the draw asked for last take none but the tokens of {@code mask}. */
  @SuppressWarnings("ReferenceEquality") // a mask is told by its identity
  public void allow(TokenMask mask) {
    // Most often all draws have one mask, or each its own.
    int i = masks.size() - 1;
    while (i >= 0 && masks.get(i) != mask) {
      i--;
    }
    if (i < 0) {
      i = masks.size();
      masks.add(mask);
    }
    Draw draw = draws.get(drawCount - 1);
    draw.mask = mask;
    draw.maskIndex = i;
  }

  /**
   * Has the draw asked for last penalise {@code token}.
   *
   * @param occurrences in the output so far; 0 for a token of the prompt alone
   */
  public void addSeen(int token, int occurrences) {
    if (seenCount == seenTokens.length) {
      seenTokens = Arrays.copyOf(seenTokens, 2 * seenCount);
      seenCounts = Arrays.copyOf(seenCounts, 2 * seenCount);
    }
    seenTokens[seenCount] = token;
    seenCounts[seenCount++] = occurrences;
    draws.get(drawCount - 1).seenEnd = seenCount;
  }

  /** Tokens asked for. */
  public int draws() {
    return drawCount;
  }

  /** The {@code i}-th token asked for. */
  public Draw draw(int i) {
    return draws.get(i);
  }

  /** Seen tokens of all draws. */
  public int seen() {
    return seenCount;
  }

  /** The {@code i}-th seen token, of which a draw has no two the same. */
  public int seenToken(int i) {
    return seenTokens[i];
  }

  /** Its occurrences in its draw's output. */
  public int seenOccurrences(int i) {
    return seenCounts[i];
  }

  /** Different masks of all draws. */
  public int masks() {
    return masks.size();
  }

  /** The {@code i}-th of them. */
  public TokenMask mask(int i) {
    return masks.get(i);
  }

  // ---- log-probabilities ---------------------------------------------------------------------

  /**
   * Asks for {@code log softmax(logits[row])[token]}, of the model's own logits, whatever penalties
   * and masks draws from the row have; rows are asked for in ascending order.
   */
  public void logProbability(int row, int token) {
    if (count == rows.length) {
      rows = Arrays.copyOf(rows, 2 * count);
      tokens = Arrays.copyOf(tokens, 2 * count);
      logProbabilities = new double[2 * count];
    }
    rows[count] = row;
    tokens[count++] = token;
  }

  /** Log-probabilities asked for. */
  public int logProbabilityCount() {
    return count;
  }

  /** The row of each, in non-decreasing order. */
  public int[] rows() {
    return rows;
  }

  /** The token of each. */
  public int[] tokens() {
    return tokens;
  }

  /** The answers. */
  public double[] logProbabilities() {
    return logProbabilities;
  }
}
