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
package dev.moontide.engine;

import dev.moontide.api.TokenIds;
import dev.moontide.model.LanguageModel;
import dev.moontide.sampling.Sampler;
import dev.moontide.tensor.LogitQueries;
import dev.moontide.tensor.Step;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * A model of two "layers" made of hashes, which sees only what a step shows it: a token's value is
 * a hash of the tokens and positions it sees, read from the cache through the step's block table;
 * its logits are a hash of the values it sees. A wrong table, index, prefix or ancestor, a block
 * used twice or read after it was freed therefore changes the logits, or is caught here.
 *
 * <p>{@link #logits(TokenIds)} computes the same from a plain list of tokens.
 */
final class FakeModel implements LanguageModel {
  /** A row that sees this token has NaN for logits; it is never generated. */
  static final int POISON = 1;

  private final int vocabularySize;
  private final int maxPositions;
  private final int blocks;
  private final int blockSize;
  private final int logitCapacity;

  // By cache entry.
  private final int[] token;
  private final int[] position;
  private final long[] value;
  private final boolean[] written;

  /** Step and sequence that wrote an entry last. */
  private final int[] writtenBy;

  private final long[] writtenIn;

  /** Called at the start of every forward step. */
  Runnable beforeForward = () -> {};

  long steps;
  long tokens;
  boolean closed;

  private Step step = new Step(1, 1);
  private final List<float[]> rows = new ArrayList<>();

  FakeModel(int vocabularySize, int maxPositions, int blocks, int blockSize, int logitCapacity) {
    this.vocabularySize = vocabularySize;
    this.maxPositions = maxPositions;
    this.blocks = blocks;
    this.blockSize = blockSize;
    this.logitCapacity = logitCapacity;
    int entries = blocks * blockSize;
    token = new int[entries];
    position = new int[entries];
    value = new long[entries];
    written = new boolean[entries];
    writtenBy = new int[entries];
    writtenIn = new long[entries];
  }

  @Override
  public int vocabularySize() {
    return vocabularySize;
  }

  @Override
  public int maxPositions() {
    return maxPositions;
  }

  @Override
  public int cacheBlocks() {
    return blocks;
  }

  @Override
  public int blockSize() {
    return blockSize;
  }

  @Override
  public int logitCapacity() {
    return logitCapacity;
  }

  /** Makes a block's entries unreadable until they are written again. */
  void poison(int block) {
    Arrays.fill(written, block * blockSize, (block + 1) * blockSize, false);
  }

  @Override
  public void forward(Step step) {
    beforeForward.run();
    this.step = step;
    steps++;
    tokens += step.tokens();
    copyBlocks();
    for (int t = 0; t < step.tokens(); t++) {
      check(t == 0 || step.sequence(t) - step.sequence(t - 1) <= 1, t, "order of sequences");
      int entry = entry(step.sequence(t), step.cacheIndex(t));
      check(writtenIn[entry] != steps, t, "entry written twice");
      writtenIn[entry] = steps;
      writtenBy[entry] = step.sequence(t);
      written[entry] = true;
      token[entry] = step.tokenId(t);
      position[entry] = step.position(t);
    }
    for (int t = 0; t < step.tokens(); t++) {
      long h = 0;
      for (int i = 0; i < visible(t); i++) {
        int entry = visibleEntry(t, i);
        check(written[entry], t, "reads entry " + i + ", which was not written");
        check(position[entry] == i, t, "reads position " + position[entry] + " as " + i);
        check(
            writtenIn[entry] != steps || writtenBy[entry] == step.sequence(t),
            t,
            "reads what another sequence writes");
        h = mixToken(h, token[entry], i);
      }
      check(visible(t) == step.position(t) + 1, t, "number of visible entries");
      value[entry(step.sequence(t), step.cacheIndex(t))] = h;
    }
  }

  private void copyBlocks() {
    for (int i = 0; i < step.copies(); i++) {
      int from = step.copySource(i) * blockSize;
      int to = step.copyTarget(i) * blockSize;
      poison(step.copyTarget(i));
      for (int entry = 0; entry < step.copyTokens(i); entry++) {
        check(written[from + entry], i, "copy of entry " + entry + ", which was not written");
        written[to + entry] = true;
        token[to + entry] = token[from + entry];
        position[to + entry] = position[from + entry];
        value[to + entry] = value[from + entry];
      }
    }
  }

  @Override
  public void computeLogits(int first, int count) {
    check(count > 0 && count <= logitCapacity && first + count <= step.logitRows(), first, "rows");
    rows.clear();
    for (int row = first; row < first + count; row++) {
      int t = step.logitToken(row);
      long h = 0;
      boolean poisoned = false;
      for (int i = 0; i < visible(t); i++) {
        int entry = visibleEntry(t, i);
        h = mix(h ^ value[entry]);
        poisoned |= token[entry] == POISON;
      }
      rows.add(logits(h, poisoned));
    }
  }

  /** The logits after {@code path}. */
  float[] logits(TokenIds path) {
    long value = 0;
    long h = 0;
    boolean poisoned = false;
    for (int i = 0; i < path.length(); i++) {
      value = mixToken(value, path.get(i), i);
      h = mix(h ^ value);
      poisoned |= path.get(i) == POISON;
    }
    return logits(h, poisoned);
  }

  private float[] logits(long h, boolean poisoned) {
    float[] logits = new float[vocabularySize];
    for (int v = 0; v < vocabularySize; v++) {
      logits[v] = poisoned ? Float.NaN : (mix(h + v) >>> 40) / (float) (1 << 21) - 4;
    }
    logits[POISON] = Float.NEGATIVE_INFINITY;
    return logits;
  }

  /** log softmax(logits)[token]. */
  static double logProbability(float[] logits, int token) {
    double sum = 0;
    for (float logit : logits) {
      sum += Math.exp(logit);
    }
    return logits[token] - Math.log(sum);
  }

  static int argmax(float[] logits) {
    int best = 0;
    for (int i = 1; i < logits.length; i++) {
      if (logits[i] > logits[best]) {
        best = i;
      }
    }
    return best;
  }

  @Override
  public void answer(LogitQueries queries) {
    int[] rowOf = queries.rows();
    for (int i = 0; i < queries.logProbabilityCount(); i++) {
      check(i == 0 || rowOf[i] >= rowOf[i - 1], i, "order of rows");
      queries.logProbabilities()[i] = logProbability(rows.get(rowOf[i]), queries.tokens()[i]);
    }
    Sampler sampler = new Sampler(vocabularySize);
    for (int i = 0; i < queries.draws(); i++) {
      sampler.draw(queries, i, rows.get(queries.draw(i).row()), 0);
    }
  }

  @Override
  public void readLogits(int row, float[] out) {
    System.arraycopy(rows.get(row), 0, out, 0, vocabularySize);
  }

  @Override
  public void close() {
    closed = true;
  }

  private int visible(int t) {
    return step.prefixLength(t) + step.ancestorStart(t + 1) - step.ancestorStart(t);
  }

  private int visibleEntry(int t, int i) {
    int prefix = step.prefixLength(t);
    int index = i < prefix ? i : step.ancestor(step.ancestorStart(t) + i - prefix);
    return entry(step.sequence(t), index);
  }

  private int entry(int sequence, int index) {
    int block = step.blockTable(sequence)[index / blockSize];
    return block * blockSize + index % blockSize;
  }

  private static long mixToken(long h, int token, int position) {
    return mix(h ^ (token * 1_000_003L + position));
  }

  private static long mix(long h) {
    long m = (h + 0x9E3779B97F4A7C15L) * 0xBF58476D1CE4E5B9L;
    m = (m ^ (m >>> 27)) * 0x94D049BB133111EBL;
    return m ^ (m >>> 31);
  }

  private static void check(boolean holds, int token, String what) {
    if (!holds) {
      throw new IllegalStateException("token " + token + ": " + what);
    }
  }
}
