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

import java.util.Arrays;

/**
 * The layout of one forward step, filled by the scheduler and read by a backend: prefill chunks and
 * decode tokens of many sequences, one after the other. Reused from step to step, so a step
 * allocates nothing.
 *
 * <p>Token {@code t} belongs to sequence {@code sequence[t]} and writes its latent to that
 * sequence's cache entry {@code cacheIndex[t]}. It attends to the entries {@code [0,
 * prefixLength[t])} of its sequence and then, in this order, to {@code ancestors[ancestorStart[t] …
 * ancestorStart[t + 1])}. A token of the prompt or the output has {@code cacheIndex = position},
 * {@code prefixLength = position + 1} and no ancestors. A token of a label trie sees the prompt as
 * its prefix and its path from the root, itself last, as ancestors: siblings share the prompt and
 * do not see each other.
 *
 * <p>Before a step runs, {@linkplain Ops#copyBlocks blocks are copied} for sequences that begin as
 * another does within a block.
 *
 * <p>Tokens of one sequence are adjacent and {@code sequence} is non-decreasing.
 */
public final class Step {
  private final int maxTokens;
  private int tokens;
  private int sequences;
  private int logitRows;
  private int revision;

  private final int[] tokenIds;
  private final int[] positions;
  private final int[] sequence;
  private final int[] cacheIndex;
  private final int[] prefixLength;
  private final int[] ancestorStart;
  private final boolean[] prompt;
  private int[] ancestors = new int[64];
  private final int[][] blockTables;
  private final int[] logitTokens;

  private int copies;
  private final int[] copySources;
  private final int[] copyTargets;
  private final int[] copyTokens;

  /**
   * @param maxTokens tokens a step has room for ({@code max-batch-tokens})
   * @param maxSequences sequences a step has room for
   */
  public Step(int maxTokens, int maxSequences) {
    this.maxTokens = maxTokens;
    tokenIds = new int[maxTokens];
    positions = new int[maxTokens];
    sequence = new int[maxTokens];
    cacheIndex = new int[maxTokens];
    prefixLength = new int[maxTokens];
    ancestorStart = new int[maxTokens + 1];
    prompt = new boolean[maxTokens];
    blockTables = new int[maxSequences][];
    logitTokens = new int[maxTokens];
    copySources = new int[maxSequences];
    copyTargets = new int[maxSequences];
    copyTokens = new int[maxSequences];
  }

  /** Empties the step. */
  public void clear() {
    Arrays.fill(blockTables, 0, sequences, EMPTY);
    tokens = 0;
    sequences = 0;
    logitRows = 0;
    copies = 0;
    revision++;
  }

  private static final int[] EMPTY = new int[0];

  /** Starts the tokens of another sequence, whose cache blocks are {@code blockTable}. */
  public void beginSequence(int[] blockTable) {
    blockTables[sequences++] = blockTable;
    revision++;
  }

  /**
   * Asks for the first {@code count} tokens of block {@code source} to be copied to block {@code
   * target} before the step runs; at most once a sequence.
   */
  public void copyBlock(int source, int target, int count) {
    copySources[copies] = source;
    copyTargets[copies] = target;
    copyTokens[copies++] = count;
    revision++;
  }

  /** Adds a generated token of the current sequence. */
  public void addToken(int tokenId, int position) {
    append(tokenId, position, position, position + 1);
    ancestorStart[tokens] = ancestorStart[tokens - 1];
  }

  /** Adds a token of the current sequence's prompt. */
  public void addPromptToken(int tokenId, int position) {
    addToken(tokenId, position);
    prompt[tokens - 1] = true;
  }

  /**
   * Adds a trie token of the current sequence.
   *
   * @param cacheIndex the cache entry it writes
   * @param prefixLength leading cache entries it sees
   * @param path cache entries of its ancestors beyond the prefix, root first, without itself
   * @param pathLength how many of {@code path} count
   */
  public void addTreeToken(
      int tokenId, int position, int cacheIndex, int prefixLength, int[] path, int pathLength) {
    append(tokenId, position, cacheIndex, prefixLength);
    int start = ancestorStart[tokens - 1];
    int end = start + pathLength + 1;
    if (end > ancestors.length) {
      ancestors = Arrays.copyOf(ancestors, Math.max(end, 2 * ancestors.length));
    }
    System.arraycopy(path, 0, ancestors, start, pathLength);
    ancestors[end - 1] = cacheIndex;
    ancestorStart[tokens] = end;
  }

  private void append(int tokenId, int position, int index, int prefix) {
    int t = tokens++;
    revision++;
    if (t == 0) {
      ancestorStart[0] = 0;
    }
    tokenIds[t] = tokenId;
    positions[t] = position;
    sequence[t] = sequences - 1;
    cacheIndex[t] = index;
    prefixLength[t] = prefix;
    prompt[t] = false;
  }

  /** Asks for the logits of the token added last; returns their row. */
  public int requestLogits() {
    logitTokens[logitRows] = tokens - 1;
    revision++;
    return logitRows++;
  }

  /** Changes whenever the step does, so that a backend may keep what it made of it. */
  public int revision() {
    return revision;
  }

  /** Tokens the step has room for. */
  public int maxTokens() {
    return maxTokens;
  }

  /** Tokens in the step. */
  public int tokens() {
    return tokens;
  }

  /** Sequences in the step. */
  public int sequences() {
    return sequences;
  }

  /** Rows of logits asked for. */
  public int logitRows() {
    return logitRows;
  }

  /** Vocabulary id of token {@code t}. */
  public int tokenId(int t) {
    return tokenIds[t];
  }

  /** Position of token {@code t} in its sequence, which its rotary embedding encodes. */
  public int position(int t) {
    return positions[t];
  }

  /** Index in this step of the sequence token {@code t} belongs to. */
  public int sequence(int t) {
    return sequence[t];
  }

  /** Cache entry token {@code t} writes. */
  public int cacheIndex(int t) {
    return cacheIndex[t];
  }

  /** Leading cache entries token {@code t} sees. */
  public int prefixLength(int t) {
    return prefixLength[t];
  }

  /**
   * Whether token {@code t} is of its row's prompt. With its position this is all of a token's role
   * that may decide how it is computed: a prefix that rows share, or a row that is computed again,
   * then has the bits it had before.
   */
  public boolean isPrompt(int t) {
    return prompt[t];
  }

  /** Where token {@code t}'s ancestors start; they end where those of {@code t + 1} start. */
  public int ancestorStart(int t) {
    return ancestorStart[t];
  }

  /** Cache entry of the {@code i}-th ancestor of the step. */
  public int ancestor(int i) {
    return ancestors[i];
  }

  /** Block table of sequence {@code s}; not to be changed. */
  public int[] blockTable(int s) {
    return blockTables[s];
  }

  /** Blocks to be copied before the step runs. */
  public int copies() {
    return copies;
  }

  /** The block that copy {@code i} reads, which none of the copies writes. */
  public int copySource(int i) {
    return copySources[i];
  }

  /** The block that copy {@code i} writes. */
  public int copyTarget(int i) {
    return copyTargets[i];
  }

  /** Leading tokens of the block that copy {@code i} is to bring. */
  public int copyTokens(int i) {
    return copyTokens[i];
  }

  /** The token whose logits row {@code row} holds. */
  public int logitToken(int row) {
    return logitTokens[row];
  }
}
