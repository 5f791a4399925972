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
package dev.moontide.spark.store;

import dev.moontide.api.GenerationRequest;
import dev.moontide.api.GenerationResult;
import dev.moontide.api.MoontideException;
import dev.moontide.api.Outcome;
import dev.moontide.spark.store.SegmentFiles.Entry;
import java.io.IOException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * A task's part in the {@link ResultStore}. The task {@link #ask}s of each request whether it has
 * to compute it, and {@link #keep}s what it computed. A request that another row of this JVM is
 * computing waits for that one, and comes out of {@link #poll} or, if the other was given up, of
 * {@link #takeBack}. For the task's thread, but for {@link #storeIfDue}.
 */
public final class TaskResults implements AutoCloseable {
  /** What has to be done for a request. */
  public sealed interface Standing {
    /** Nothing: this is its answer. */
    record Answered(GenerationResult result) implements Standing {}

    /** It is to be computed, and its result kept. */
    record ToCompute() implements Standing {}

    /** Its answer will come out of {@link #poll}. */
    record Awaited() implements Standing {}
  }

  private static final Standing TO_COMPUTE = new Standing.ToCompute();
  private static final Standing AWAITED = new Standing.Awaited();

  /** Results in memory at most, before the task waits for them to be stored. */
  private static final int MAX_BYTES = 4 << 20;

  /** Small segments of a task that are merged into one. */
  private static final int MERGED_SEGMENTS = 32;

  /**
   * How long to wait for a row that another task computes before computing it here too. Never in
   * the way of rows to compute; it is for two tasks that wait for one another, which takes one
   * thread that runs both.
   */
  private static final long PATIENCE_NANOS = TimeUnit.MINUTES.toNanos(5);

  /** About what a waiting request takes beside its prompt. */
  private static final long REQUEST_BYTES = 200;

  /** A request in the engine; {@code pending} is null if another is computing an equal one. */
  private record Claim(RequestKey key, @Nullable Pending pending) {}

  private final ResultStore store;
  private final RequestKeys keys;
  private final Runnable release;

  private final Map<Long, Claim> claims = new HashMap<>();
  private final Map<Long, GenerationRequest> awaited = new HashMap<>();
  private final LinkedBlockingQueue<Pending.Delivery> mailbox = new LinkedBlockingQueue<>();
  private final ArrayDeque<GenerationRequest> returned = new ArrayDeque<>();
  private long awaitedBytes;
  private long lastDelivery = System.nanoTime();
  private boolean patient = true;

  // Guarded by this.
  private final RecordBuffer buffer = new RecordBuffer();
  private final List<Claim> unstored = new ArrayList<>();
  private final List<Entry> segments = new ArrayList<>();
  private final List<Entry> merged = new ArrayList<>();
  private long oldest;
  private boolean closed;
  private @Nullable IOException failure;

  TaskResults(ResultStore store, RequestKeys keys, Runnable release) {
    this.store = store;
    this.keys = keys;
    this.release = release;
  }

  /** What has to be done for {@code request}. */
  public Standing ask(GenerationRequest request) {
    RequestKey key = keys.of(request);
    try {
      while (true) {
        StoredResult known = store.find(key);
        if (known != null) {
          renew(key, known);
          return new Standing.Answered(known.answer(request.id()));
        }
        Pending mine = new Pending(this);
        Pending theirs = store.pending().putIfAbsent(key, mine);
        if (theirs == null) {
          // It may have been stored between the two looks.
          known = store.find(key);
          if (known == null) {
            claims.put(request.id(), new Claim(key, mine));
            return TO_COMPUTE;
          }
          store.pending().remove(key, mine);
          mine.abandon();
          return new Standing.Answered(known.answer(request.id()));
        }
        GenerationResult result = theirs.result();
        if (result != null) {
          return new Standing.Answered(reused(request, result));
        }
        if (!patient || !theirs.canServe(this)) {
          claims.put(request.id(), new Claim(key, null));
          return TO_COMPUTE;
        }
        if (theirs.tell(request, mailbox::add)) {
          if (awaited.isEmpty()) {
            lastDelivery = System.nanoTime();
          }
          awaited.put(request.id(), request);
          awaitedBytes += bytes(request);
          return AWAITED;
        }
      }
    } catch (IOException failed) {
      throw failed("read", failed);
    }
  }

  /** Stores a result again whose segment will go. */
  private void renew(RequestKey key, StoredResult known) {
    if (!store.isOld(key)) {
      return;
    }
    synchronized (this) {
      if (buffer.records() == 0) {
        oldest = System.nanoTime();
      }
      buffer.add(key, known);
      storeIfLarge();
    }
  }

  private static GenerationResult reused(GenerationRequest request, GenerationResult result) {
    return new GenerationResult(
        request.id(), result.promptTokens(), result.promptTokens(), result.outcome());
  }

  private static long bytes(GenerationRequest request) {
    return REQUEST_BYTES + (long) Integer.BYTES * request.prompt().length();
  }

  /** Keeps a result that {@link #ask} said to compute; a failure is told, not kept. */
  public void keep(GenerationResult result) {
    Claim claim = claims.remove(result.id());
    if (claim == null) {
      throw new IllegalStateException("row " + result.id() + " was not to be computed");
    }
    Pending pending = claim.pending();
    if (result.outcome() instanceof Outcome.Failure) {
      if (pending != null) {
        store.pending().remove(claim.key(), pending);
        pending.complete(result);
      }
      return;
    }
    synchronized (this) {
      if (failure != null) {
        throw failed("written", failure);
      }
      if (buffer.records() == 0) {
        oldest = System.nanoTime();
      }
      buffer.add(claim.key(), new StoredResult(result.promptTokens(), result.outcome()));
      unstored.add(claim);
    }
    if (pending != null) {
      pending.complete(result);
    }
    storeIfLarge();
  }

  private synchronized void storeIfLarge() {
    if (buffer.size() >= MAX_BYTES) {
      store();
    }
  }

  /** Whether requests wait for other rows. */
  public boolean isWaiting() {
    return !awaited.isEmpty();
  }

  /** About how much memory the waiting requests take. */
  public long waitingBytes() {
    return awaitedBytes;
  }

  /**
   * The answer to a request that waited, if one is there within {@code millis}.
   *
   * @throws MoontideException of category engine, if it is interrupted
   */
  public @Nullable GenerationResult poll(long millis) {
    if (awaited.isEmpty()) {
      return null;
    }
    try {
      while (true) {
        Pending.Delivery delivery =
            millis == 0 ? mailbox.poll() : mailbox.poll(millis, TimeUnit.MILLISECONDS);
        if (delivery == null) {
          if (millis > 0 && System.nanoTime() - lastDelivery > PATIENCE_NANOS) {
            takeOver();
          }
          return null;
        }
        lastDelivery = System.nanoTime();
        GenerationRequest request = awaited.remove(delivery.request().id());
        if (request == null) {
          continue; // taken over
        }
        awaitedBytes -= bytes(request);
        GenerationResult result = delivery.result();
        if (result == null) {
          returned.add(request);
          return null;
        }
        return reused(request, result);
      }
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      throw new MoontideException(
          MoontideException.Category.ENGINE,
          "interrupted while waiting for an equal row of another task",
          interrupted);
    }
  }

  private void takeOver() {
    patient = false;
    returned.addAll(awaited.values());
    awaited.clear();
    awaitedBytes = 0;
  }

  /** A request that waited for a row that was given up: {@link #ask} again. */
  public @Nullable GenerationRequest takeBack() {
    return returned.poll();
  }

  /** Whether {@link #takeBack} has one. */
  public boolean hasReturned() {
    return !returned.isEmpty();
  }

  /** Stores the results that have waited long enough, or are enough; called now and then. */
  void storeIfDue() {
    synchronized (this) {
      boolean due =
          buffer.records() >= ResultStore.STORED_ROWS
              || System.nanoTime() - oldest
                  >= TimeUnit.MILLISECONDS.toNanos(ResultStore.STORED_MILLIS);
      if (closed || failure != null || buffer.records() == 0 || !due) {
        return;
      }
      try {
        storeAll();
      } catch (IOException | RuntimeException failed) {
        failure = failed instanceof IOException known ? known : new IOException(failed);
      }
    }
  }

  private synchronized void store() {
    try {
      if (failure != null) {
        throw failure;
      }
      storeAll();
    } catch (IOException failed) {
      throw failed("written", failed);
    }
  }

  private void storeAll() throws IOException {
    if (buffer.records() > 0) {
      segments.add(store.store(buffer.block()));
      buffer.clear();
      forgetUnstored();
    }
    if (segments.size() >= MERGED_SEGMENTS) {
      merged.add(store.merge(segments));
      segments.clear();
    }
  }

  /** From here on the result is found in the store. */
  private void forgetUnstored() {
    for (Claim claim : unstored) {
      if (claim.pending() != null) {
        store.pending().remove(claim.key(), claim.pending());
      }
    }
    unstored.clear();
  }

  private MoontideException failed(String what, IOException cause) {
    return new MoontideException(
        MoontideException.Category.ENGINE,
        "the finished results in %s cannot be %s: %s%s"
            .formatted(store, what, cause.getMessage(), remedy(cause)),
        cause);
  }

  private static String remedy(IOException cause) {
    return String.valueOf(cause.getMessage()).contains("No space left on device")
        ? "; make room and run it again, which goes on from what is stored"
        : "";
  }

  /** Stores what is left, and gives up what was not computed, so that others compute it. */
  @Override
  public synchronized void close() {
    if (closed) {
      return;
    }
    closed = true;
    try {
      for (Claim claim : claims.values()) {
        if (claim.pending() != null) {
          store.pending().remove(claim.key(), claim.pending());
          claim.pending().abandon();
        }
      }
      claims.clear();
      store();
      mergeAll();
    } finally {
      forgetUnstored();
      store.leave(this);
      release.run();
    }
  }

  private void mergeAll() {
    segments.addAll(merged);
    if (segments.size() > 1 && Compaction.bytes(segments) <= Compaction.MERGED_BYTES) {
      try {
        store.merge(segments);
      } catch (IOException failed) {
        throw failed("written", failed);
      }
    }
    segments.clear();
    merged.clear();
  }
}
