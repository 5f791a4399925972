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

import dev.moontide.api.GenerationRequest;
import dev.moontide.api.GenerationResult;
import dev.moontide.api.MoontideException;
import dev.moontide.api.Outcome;
import dev.moontide.scheduler.Sequence;
import java.util.ArrayDeque;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.concurrent.locks.Condition;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * One caller's requests and results. The caller's thread draws requests, as many as its share of
 * the engine's room allows, and takes results; the engine's thread puts results in through {@link
 * #accept}. A result counts against the share until it is taken, so a caller that does not take
 * them does not submit either.
 *
 * <p>All fields but the caller's own are guarded by the engine's lock, which a row takes three
 * times: to see whether there is room, to hand in its sequence, and to take its result.
 */
final class RequestStream implements ResultStream, Consumer<Sequence> {
  private final Engine engine;
  private final Condition changed;

  // The caller's thread alone.
  private final Iterator<GenerationRequest> requests;
  private @Nullable Sequence drawn; // and not handed in

  /** Whether there was another result when the last one was taken. */
  private boolean hasMore;

  private final ArrayDeque<GenerationResult> results = new ArrayDeque<>();
  private int outstanding;
  private long outstandingBytes;
  private boolean exhausted;
  private boolean closed;

  RequestStream(Engine engine, Iterator<GenerationRequest> requests, Condition changed) {
    this.engine = engine;
    this.requests = requests;
    this.changed = changed;
  }

  @Override
  public boolean hasNext() {
    while (true) {
      try {
        engine.lock().lockInterruptibly();
        try {
          if (drawn != null) {
            engine.submit(drawn, this);
            drawn = null;
          }
          boolean mayDraw = !exhausted && !closed && engine.hasRoom(this);
          if (!mayDraw && !results.isEmpty()) {
            return true;
          }
          if (isComplete()) {
            engine.leave(this);
            return false;
          }
          throwIfBroken();
          if (!mayDraw) {
            changed.await();
            continue;
          }
        } finally {
          engine.lock().unlock();
        }
      } catch (InterruptedException e) {
        close();
        Thread.currentThread().interrupt();
        throw new MoontideException(
            MoontideException.Category.ENGINE,
            "interrupted while waiting for results; the rows still in the engine are dropped",
            e);
      }
      draw();
    }
  }

  @Override
  public GenerationResult next() {
    while (true) {
      engine.lock().lock();
      try {
        GenerationResult result = closed ? null : results.poll();
        if (result != null) {
          outstanding--;
          hasMore = !results.isEmpty();
          return result;
        }
      } finally {
        engine.lock().unlock();
      }
      if (!hasNext()) {
        throw new NoSuchElementException("every request has been answered");
      }
    }
  }

  @Override
  public boolean isReady() {
    if (hasMore) {
      return true;
    }
    engine.lock().lock();
    try {
      return !results.isEmpty();
    } finally {
      engine.lock().unlock();
    }
  }

  /** Draws one request; what the caller's iterator throws is the caller's. */
  private void draw() {
    try {
      if (requests.hasNext()) {
        read(requests.next());
      } else {
        engine.lock().lock();
        try {
          exhausted = true;
        } finally {
          engine.lock().unlock();
        }
      }
    } catch (RuntimeException | Error e) {
      close();
      throw e;
    }
  }

  private void read(GenerationRequest request) {
    try {
      drawn = engine.reader().read(request, this);
    } catch (MoontideException e) {
      if (e.category() != MoontideException.Category.ROW) {
        throw e;
      }
      String message = e.getMessage() == null ? e.toString() : e.getMessage();
      engine.lock().lock();
      try {
        outstanding++;
        results.add(
            new GenerationResult(
                request.id(), request.prompt().length(), 0, new Outcome.Failure(message)));
      } finally {
        engine.lock().unlock();
      }
    }
  }

  // ---- the engine's side, under its lock -----------------------------------------------------

  /** Counts a sequence that is about to be computed. */
  void submitted(Sequence sequence) {
    outstanding++;
    outstandingBytes += sequence.bytes();
  }

  /** Takes a finished sequence, unless nobody waits for it any more. */
  @Override
  public void accept(Sequence sequence) {
    outstandingBytes -= sequence.bytes();
    if (!closed) {
      GenerationResult result = sequence.result();
      results.add(result);
      engine.totals().add(result);
      changed.signal();
    }
  }

  /** Wakes the caller to see how its engine is. */
  void wake() {
    changed.signal();
  }

  /** Requests drawn whose results are not taken. */
  int outstanding() {
    return outstanding;
  }

  /** Bytes of those that are not finished. */
  long outstandingBytes() {
    return outstandingBytes;
  }

  boolean isClosed() {
    return closed;
  }

  private boolean isComplete() {
    return exhausted && outstanding == 0;
  }

  private void throwIfBroken() {
    if (closed) {
      throw MoontideException.engine(
          "the result stream was closed before its last result was taken");
    }
    if (results.isEmpty()) {
      engine.throwIfStopped();
    }
  }

  @Override
  public void close() {
    engine.lock().lock();
    try {
      if (!closed && !isComplete()) {
        closed = true;
        hasMore = false;
        results.clear();
        changed.signal();
        engine.drop(this);
      }
    } finally {
      engine.lock().unlock();
    }
  }
}
