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

import dev.moontide.tensor.Step;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Iterator;
import java.util.List;
import java.util.TreeSet;
import java.util.function.Consumer;

/**
 * Decides what each step computes. Call {@link #schedule}, run the step, give every sequence its
 * logits' answers, call {@link #commit}; between steps sequences may be added and dropped.
 *
 * <ul>
 *   <li>Sequences run in the order of their arrival. Those past their prompt are placed whole; the
 *       rest of the step's tokens go to prompts, in chunks (chunked prefill), running ones first,
 *       then waiting ones as long as the cache has blocks for their whole prompt.
 *   <li>Blocks are taken as entries need them. When they run out, the latest arrival gives all of
 *       its blocks back and waits to be computed again (preemption), so the earliest always
 *       proceeds; a sequence's {@link Sequence#maxLength()} must fit into the cache alone.
 *   <li>Blocks of prompt tokens are shared as soon as the step that computed them has run: full
 *       ones as they are, the beginning of another by a copy. A waiting sequence whose next tokens
 *       are being computed in this very step is held back for one step, so equal beginnings that
 *       arrive together are computed once.
 * </ul>
 */
public final class Scheduler {
  private final Step step;
  private final int maxSequences;
  private final int blockSize;
  private final boolean sharesPrefixes;
  private final PrefixCache cache;
  private final BlockPool pool;

  private final TreeSet<Sequence> waiting =
      new TreeSet<>(Comparator.comparingLong(Sequence::arrival));

  /** In order of arrival, at most {@link #maxSequences}. */
  private final List<Sequence> running = new ArrayList<>();

  /** Those in the current step, in its order. */
  private final List<Sequence> scheduled = new ArrayList<>();

  private final List<Sequence> finished = new ArrayList<>();

  /** Blocks found for the candidate at hand. */
  private final int[] found;

  /** Blocks the current step copies from, held until it has run; in the first places. */
  private final int[] sources;

  private int sourceCount;

  private long arrivals;
  private long preemptions;
  private int promptTokens;

  /**
   * @param maxBatchTokens entries a step computes at most
   * @param maxSequences sequences a step computes at most
   * @param blocks blocks of the latent cache
   * @param blockSize entries in a block
   * @param sharesPrefixes whether to use the prefix cache
   */
  public Scheduler(
      int maxBatchTokens, int maxSequences, int blocks, int blockSize, boolean sharesPrefixes) {
    step = new Step(maxBatchTokens, maxSequences);
    this.maxSequences = maxSequences;
    this.blockSize = blockSize;
    this.sharesPrefixes = sharesPrefixes;
    cache = new PrefixCache(blocks, blockSize);
    pool = new BlockPool(blocks, cache);
    found = new int[blocks];
    sources = new int[maxSequences];
  }

  /** Adds a sequence behind all others. It is not finished, and its longest form fits the cache. */
  public void add(Sequence sequence) {
    if (blocksFor(sequence.maxLength()) > pool.size()) {
      throw new IllegalArgumentException(
          "a sequence of " + sequence.maxLength() + " entries can never fit");
    }
    sequence.arrive(arrivals++);
    waiting.add(sequence);
  }

  /** Whether there is anything to compute. */
  public boolean hasWork() {
    return !running.isEmpty() || !waiting.isEmpty();
  }

  /** Composes the next step; valid until the next call. */
  public Step schedule() {
    step.clear();
    scheduled.clear();
    cache.beginStep();
    promptTokens = 0;
    placeRunning();
    admitWaiting();
    if (step.tokens() == 0 && hasWork()) {
      throw new IllegalStateException("nothing can run: " + this);
    }
    return step;
  }

  private void placeRunning() {
    int reserved = 0;
    for (Sequence sequence : running) {
      reserved += sequence.isPrefilling() ? 0 : sequence.pending();
    }
    for (int i = 0; i < running.size(); i++) {
      Sequence sequence = running.get(i);
      if (!sequence.isPrefilling()) {
        reserved -= sequence.pending();
      }
      int room = sequence.isPrefilling() ? room() - reserved : room();
      int tokens = Math.min(sequence.pending(), room);
      if (tokens <= 0) {
        continue;
      }
      int missing = missingBlocks(sequence, tokens);
      while (missing > pool.available() && i < running.size()) {
        Sequence latest = running.remove(running.size() - 1);
        reserved -= latest == sequence || latest.isPrefilling() ? 0 : latest.pending();
        preempt(latest);
      }
      if (i < running.size()) {
        place(sequence, tokens);
      }
    }
  }

  private void admitWaiting() {
    Iterator<Sequence> candidates = waiting.iterator();
    while (room() > 0 && running.size() < maxSequences && candidates.hasNext()) {
      Sequence sequence = candidates.next();
      int reusable = sharesPrefixes ? sequence.reusable() : 0;
      int shared = cache.match(sequence.prompt(), reusable, found);
      int beginning = cache.beginning(sequence.prompt(), shared, found, reusable);
      if (cache.isAnnounced(sequence.prompt(), shared, found, beginning, reusable)) {
        continue;
      }
      // One block a running sequence is left over, lest the next tokens preempt the newcomer.
      int missing = blocksFor(sequence.length()) - shared + running.size();
      int available = pool.available() - idleAmongFound(shared);
      if (missing > available) {
        break;
      }
      candidates.remove();
      for (int i = 0; i < shared; i++) {
        pool.hold(found[i]);
      }
      boolean copies = beginning != PrefixCache.NONE && missing < available;
      int entries = shared * blockSize + (copies ? cache.tokens(beginning) : 0);
      sequence.admit(found, shared, entries);
      if (copies) {
        copy(cache.block(beginning), cache.tokens(beginning), sequence);
      }
      insertByArrival(sequence);
      place(sequence, Math.min(sequence.pending(), room()));
    }
  }

  /** Gives {@code sequence} a block that begins with {@code tokens} entries of {@code source}. */
  private void copy(int source, int tokens, Sequence sequence) {
    pool.hold(source);
    sources[sourceCount++] = source;
    int block = pool.allocate();
    sequence.append(block);
    step.copyBlock(source, block, tokens);
  }

  private void place(Sequence sequence, int tokens) {
    for (int missing = missingBlocks(sequence, tokens); missing > 0; missing--) {
      sequence.append(pool.allocate());
    }
    int prompt = sequence.promptTokens(tokens);
    promptTokens += prompt;
    if (sharesPrefixes && prompt > 0) {
      cache.announce(sequence, prompt);
    }
    sequence.place(step, tokens);
    scheduled.add(sequence);
  }

  private void preempt(Sequence sequence) {
    releaseBlocks(sequence);
    sequence.rewind();
    waiting.add(sequence);
    preemptions++;
  }

  /** Sequences of the current step, as {@link Step#sequence} numbers them. */
  public List<Sequence> scheduled() {
    return scheduled;
  }

  /** Prompt tokens in the current step. */
  public int promptTokens() {
    return promptTokens;
  }

  /**
   * Notes that the step has run and its logits are answered.
   *
   * @return the sequences that finished, whose blocks are released; valid until the next call
   */
  public List<Sequence> commit() {
    finished.clear();
    // Before the sequences', so that a source goes idle before its parent does.
    while (sourceCount > 0) {
      pool.release(sources[--sourceCount]);
    }
    for (Sequence sequence : scheduled) {
      sequence.advance();
      if (sharesPrefixes) {
        shareBlocks(sequence);
      }
      if (sequence.isFinished()) {
        releaseBlocks(sequence);
        finished.add(sequence);
      }
    }
    if (!finished.isEmpty()) {
      running.removeIf(Sequence::isFinished);
    }
    return finished;
  }

  /** Enters the sequence's newly computed prompt tokens into the prefix cache. */
  private void shareBlocks(Sequence sequence) {
    int end = cache.wholeUnits(Math.min(sequence.computed(), sequence.prompt().length()));
    while (sequence.offered() < end) {
      int index = sequence.offered() / blockSize;
      int blockEnd = (index + 1) * blockSize;
      int to = Math.min(end, blockEnd);
      int shared = cache.enter(sequence, sequence.offered(), to);
      sequence.offer(to);
      if (to == blockEnd) {
        int own = sequence.block(index);
        if (shared != own) {
          pool.hold(shared);
          pool.release(own);
        }
        sequence.share(shared);
      }
    }
  }

  /** Drops every sequence that would go to {@code sink}. Not between schedule and commit. */
  public void drop(Consumer<Sequence> sink) {
    waiting.removeIf(sequence -> sequence.sink() == sink);
    for (Sequence sequence : running) {
      if (sequence.sink() == sink) {
        releaseBlocks(sequence);
      }
    }
    running.removeIf(sequence -> sequence.sink() == sink);
  }

  /** Times a sequence gave its blocks back to be computed again. */
  public long preemptions() {
    return preemptions;
  }

  /**
   * Whether nobody will read what {@code block} holds: it is neither held nor cached. For checks.
   */
  public boolean isFree(int block) {
    return pool.holders(block) == 0 && !cache.contains(block);
  }

  private int room() {
    return step.maxTokens() - step.tokens();
  }

  private int missingBlocks(Sequence sequence, int tokens) {
    return Math.max(0, blocksFor(sequence.computed() + tokens) - sequence.blocks());
  }

  private int blocksFor(int entries) {
    return (entries + blockSize - 1) / blockSize;
  }

  private int idleAmongFound(int count) {
    int idle = 0;
    for (int i = 0; i < count; i++) {
      idle += pool.holders(found[i]) == 0 ? 1 : 0;
    }
    return idle;
  }

  private void insertByArrival(Sequence sequence) {
    int at = running.size();
    while (at > 0 && running.get(at - 1).arrival() > sequence.arrival()) {
      at--;
    }
    running.add(at, sequence);
  }

  /** Last to first, so that a block goes idle before its parent. */
  private void releaseBlocks(Sequence sequence) {
    for (int i = sequence.blocks() - 1; i >= 0; i--) {
      pool.release(sequence.block(i));
    }
  }

  /** Checks, between steps, every invariant of sequences, blocks and prefix cache. */
  public void checkIntegrity() {
    int[] holders = new int[pool.size()];
    for (Sequence sequence : running) {
      for (int i = 0; i < sequence.blocks(); i++) {
        holders[sequence.block(i)]++;
        check(cache.containsWhole(sequence.block(i)) == i < sequence.sharedBlocks(), sequence);
      }
      check(blocksFor(sequence.computed()) <= sequence.blocks(), sequence);
      check(sequence.pending() > 0 && !sequence.isFinished(), sequence);
      check(blocksFor(sequence.length()) <= pool.size(), sequence);
      int shared = cache.match(sequence.prompt(), sequence.sharedBlocks() * blockSize, found);
      check(shared == sequence.sharedBlocks(), sequence);
      for (int i = 0; i < shared; i++) {
        check(found[i] == sequence.block(i), sequence);
      }
    }
    for (Sequence sequence : waiting) {
      check(sequence.blocks() == 0 && sequence.computed() == 0, sequence);
    }
    for (int block = 0; block < holders.length; block++) {
      if (holders[block] != pool.holders(block)) {
        throw new IllegalStateException(
            "block " + block + " has " + pool.holders(block) + " holders, not " + holders[block]);
      }
    }
    pool.checkIntegrity();
    cache.checkIntegrity();
  }

  private static void check(boolean holds, Sequence sequence) {
    if (!holds) {
      throw new IllegalStateException(
          "sequence "
              + sequence.arrival()
              + " holds "
              + sequence.blocks()
              + " blocks, of them "
              + sequence.sharedBlocks()
              + " shared, with "
              + sequence.computed()
              + " of "
              + sequence.length()
              + " entries computed");
    }
  }

  @Override
  public String toString() {
    return running.size()
        + " running, "
        + waiting.size()
        + " waiting, "
        + pool.available()
        + " of "
        + pool.size()
        + " blocks available";
  }
}
