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

import dev.moontide.api.GenerationRequest;
import dev.moontide.api.GenerationResult;
import dev.moontide.api.Outcome;
import dev.moontide.api.TokenIds;
import dev.moontide.tensor.Step;
import java.util.Arrays;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * The mutable state of one request: a growing list of cache entries, of which the first {@link
 * #computed()} are in the cache. That counter is all that is stored; what is pending, wanted or
 * needed follows from it and from the subclass's own progress.
 *
 * <p>Entries {@code [0, promptLength)} are the prompt's tokens; what follows is the objective's:
 * generated tokens or trie nodes.
 */
public abstract sealed class Sequence permits SampledSequence, ScoredSequence, ChoiceSequence {
  private final GenerationRequest request;
  private final Consumer<Sequence> sink;

  private long arrival;
  private int computed;
  private int scheduled;

  /** Prompt tokens that were in the prefix cache when the sequence was first admitted. */
  private int cachedTokens;

  private boolean admitted;
  private @Nullable String failure;

  private int[] blockTable = new int[4];
  private int blocks;

  /** Leading blocks of the table that are in the prefix cache as a whole. */
  private int sharedBlocks;

  /** Leading prompt tokens that were offered to the prefix cache or came from it. */
  private int offered;

  Sequence(GenerationRequest request, Consumer<Sequence> sink) {
    this.request = request;
    this.sink = sink;
  }

  // ---- the objective -------------------------------------------------------------------------

  /** Entries known so far, computed or not. */
  abstract int length();

  /** Most entries this sequence can come to have in the cache. */
  public abstract int maxLength();

  /** The first entry whose logits are still wanted; those of every later entry are too. */
  abstract int firstWanted();

  /** Adds entry {@code i}, beyond the prompt, to a step. */
  abstract void addEntry(Step step, int i);

  abstract boolean isAnswered();

  abstract Outcome answer();

  /** Bytes its state comes to take on the heap, about. */
  public abstract long bytes();

  // ---- derived -------------------------------------------------------------------------------

  public GenerationRequest request() {
    return request;
  }

  public TokenIds prompt() {
    return request.prompt();
  }

  /** Takes the sequence when it is finished. */
  public Consumer<Sequence> sink() {
    return sink;
  }

  /** Entries in the cache. */
  int computed() {
    return computed;
  }

  /** Entries to compute. */
  int pending() {
    return length() - computed;
  }

  /** Whether part of the prompt is still to be computed. */
  boolean isPrefilling() {
    return computed < Math.min(prompt().length(), length());
  }

  /** Prompt tokens among the next {@code tokens} entries. */
  int promptTokens(int tokens) {
    return Math.max(0, Math.min(prompt().length() - computed, tokens));
  }

  /** Leading entries whose logits nobody wants, so that they can come from the prefix cache. */
  int reusable() {
    return Math.min(firstWanted(), prompt().length());
  }

  /** Whether there is a result: an answer or a failure. */
  public boolean isFinished() {
    return failure != null || isAnswered();
  }

  /** The result of a finished sequence. */
  public GenerationResult result() {
    Outcome outcome = failure == null ? answer() : new Outcome.Failure(failure);
    return new GenerationResult(request.id(), prompt().length(), cachedTokens, outcome);
  }

  /** Ends the sequence without an answer. */
  public void fail(String message) {
    failure = message;
  }

  // ---- the scheduler's -----------------------------------------------------------------------

  long arrival() {
    return arrival;
  }

  void arrive(long number) {
    arrival = number;
  }

  /**
   * Starts with the first {@code count} of {@code cached} blocks, which it now holds.
   *
   * @param entries that it need not compute, those of a block that it is yet to get included
   */
  void admit(int[] cached, int count, int entries) {
    for (int i = 0; i < count; i++) {
      append(cached[i]);
    }
    sharedBlocks = count;
    computed = entries;
    offered = entries;
    if (!admitted) {
      cachedTokens = computed;
      admitted = true;
    }
  }

  /** Adds the next {@code tokens} entries to {@code step}; the table has blocks for them. */
  void place(Step step, int tokens) {
    step.beginSequence(blockTable);
    int promptLength = prompt().length();
    int firstWanted = firstWanted();
    for (int i = computed; i < computed + tokens; i++) {
      if (i < promptLength) {
        step.addPromptToken(prompt().get(i), i);
      } else {
        addEntry(step, i);
      }
      if (i >= firstWanted) {
        step.requestLogits();
      }
    }
    scheduled = tokens;
  }

  /** The entries placed last are in the cache now. */
  void advance() {
    computed += scheduled;
    scheduled = 0;
  }

  int blocks() {
    return blocks;
  }

  int block(int i) {
    return blockTable[i];
  }

  void append(int block) {
    if (blocks == blockTable.length) {
      blockTable = Arrays.copyOf(blockTable, 2 * blocks);
    }
    blockTable[blocks++] = block;
  }

  int sharedBlocks() {
    return sharedBlocks;
  }

  int offered() {
    return offered;
  }

  /** The first {@code count} prompt tokens have been offered to the prefix cache. */
  void offer(int count) {
    offered = count;
  }

  /** The next block of the table is in the prefix cache as {@code block}, with the same content. */
  void share(int block) {
    blockTable[sharedBlocks++] = block;
  }

  /** Forgets everything computed; the blocks are the scheduler's to release. */
  void rewind() {
    computed = 0;
    scheduled = 0;
    blocks = 0;
    sharedBlocks = 0;
    offered = 0;
  }
}
