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

import dev.moontide.api.EngineOptions;
import dev.moontide.api.GenerationRequest;
import dev.moontide.api.MoontideException;
import dev.moontide.model.LanguageModel;
import dev.moontide.model.ModelConfig;
import dev.moontide.scheduler.Scheduler;
import dev.moontide.scheduler.Sequence;
import dev.moontide.tensor.Step;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.Iterator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * One model on one device, serving any number of tasks at once: their requests run in one batch.
 * Thread-safe.
 *
 * <p>One thread owns the model and the scheduler. Callers meet it at a lock, which is held to hand
 * sequences in and results out, never while the model runs.
 */
public final class Engine implements AutoCloseable {
  private static final SharedEngines SHARED =
      new SharedEngines(options -> new Engine(EngineLoader.load(options), options));

  /** Requests in the engine, for each sequence of a step: one running, one waiting. */
  private static final int REQUESTS_PER_SEQUENCE = 2;

  /** Bytes of requests in the engine, waiting ones included. */
  private static final long REQUEST_BYTES = 64L << 20;

  private final LoadedModel loaded;
  private final LanguageModel model;
  private final int maxModelLength;
  private final int maxRequests;
  private final RequestReader reader;
  private final Thread thread;

  // The engine's thread alone.
  private final Scheduler scheduler;
  private final LogitReader logits;

  // Guarded by the lock.
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition work = lock.newCondition();
  private final Set<RequestStream> open = new HashSet<>();

  /** Those that have begun to draw, which share the room. */
  private final Set<RequestStream> streams = new LinkedHashSet<>();

  private final List<Sequence> submitted = new ArrayList<>();
  private final List<RequestStream> dropped = new ArrayList<>();
  private final Totals totals = new Totals();
  private boolean closing;

  /** Why there will be no more results, an exception for each who asks. */
  private @Nullable Supplier<MoontideException> failure;

  Engine(LoadedModel loaded, EngineOptions options) {
    this.loaded = loaded;
    model = loaded.model();
    maxModelLength =
        options.maxModelLength() == 0
            ? model.maxPositions()
            : Math.min(options.maxModelLength(), model.maxPositions());
    maxRequests = REQUESTS_PER_SEQUENCE * options.maxSequences();
    reader = new RequestReader(loaded, maxModelLength);
    scheduler =
        new Scheduler(
            options.maxBatchTokens(),
            options.maxSequences(),
            model.cacheBlocks(),
            model.blockSize(),
            options.prefixCache());
    logits = new LogitReader(model);
    thread = new Thread(this::run, "moontide-engine");
    thread.setDaemon(true);
    thread.start();
  }

  /**
   * The JVM's engine for {@code options}, loaded on first use and shared by equal options.
   *
   * @throws MoontideException of category configuration while the model is used with other options
   */
  public static Engine shared(EngineOptions options) {
    return SHARED.get(options);
  }

  /** Answers requests, as {@link #generate(Iterator)} does, by the {@link #shared} engine. */
  public static ResultStream generate(EngineOptions options, Iterator<GenerationRequest> requests) {
    while (true) {
      // Between the two lines it may be closed, to be loaded with other options.
      RequestStream stream = SHARED.get(options).open(requests);
      if (stream != null) {
        return stream;
      }
    }
  }

  /** What each of the JVM's shared engines has done since it was loaded. */
  public static List<EngineStatistics> sharedStatistics() {
    return SHARED.loaded().stream().map(Engine::statistics).toList();
  }

  /** Closes the JVM's shared engines; who asks for one then has it loaded again. */
  public static void closeShared() {
    SHARED.loaded().forEach(Engine::close);
  }

  /**
   * Answers requests in completion order. Requests are drawn on the calling thread and only when
   * there is room; {@code hasNext} blocks until a result is there. The stream should be closed when
   * the caller stops early (a killed task), which drops what it still has in the engine.
   */
  public ResultStream generate(Iterator<GenerationRequest> requests) {
    RequestStream stream = open(requests);
    if (stream == null) {
      throw closed();
    }
    return stream;
  }

  /** A stream of the results; null if the engine is closed. */
  private @Nullable RequestStream open(Iterator<GenerationRequest> requests) {
    lock.lock();
    try {
      if (closing) {
        return null;
      }
      throwIfStopped();
      RequestStream stream = new RequestStream(this, requests, lock.newCondition());
      open.add(stream);
      return stream;
    } finally {
      lock.unlock();
    }
  }

  private static MoontideException closed() {
    return MoontideException.engine("the engine was closed");
  }

  /** Longest prompt and output together, in tokens. */
  public int maxModelLength() {
    return maxModelLength;
  }

  /**
   * Longest prompt and output together, in tokens, of an engine with {@code options}; reads only
   * the checkpoint's config.
   *
   * @throws MoontideException of category configuration if the model has not as many positions
   */
  public static int maxModelLength(EngineOptions options) {
    return CacheSize.maxModelLength(options, ModelConfig.load(options.model()));
  }

  /** Totals since the start. */
  public EngineStatistics statistics() {
    lock.lock();
    try {
      return totals.snapshot(loaded);
    } finally {
      lock.unlock();
    }
  }

  /**
   * Ends the engine after its current step and frees the model; open streams fail. An engine that
   * others share should be left to the JVM's end.
   */
  @Override
  public void close() {
    close(true);
  }

  /** Closes the engine unless it has open streams; whether it is closed now. */
  boolean closeIfUnused() {
    return close(false);
  }

  private boolean close(boolean whileUsed) {
    lock.lock();
    try {
      if (closing) {
        return true;
      }
      if (!whileUsed && !open.isEmpty()) {
        return false;
      }
      closing = true;
      stop(Engine::closed);
      work.signal();
    } finally {
      lock.unlock();
    }
    joinThread();
    model.close();
    return true;
  }

  private void joinThread() {
    boolean interrupted = false;
    while (true) {
      try {
        thread.join();
        break;
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  // ---- for streams; under the lock, but for the reader ---------------------------------------

  ReentrantLock lock() {
    return lock;
  }

  RequestReader reader() {
    return reader;
  }

  /** Whether {@code stream} may submit: it has not used up its share of the engine's room. */
  boolean hasRoom(RequestStream stream) {
    streams.add(stream);
    return failure == null
        && (stream.outstanding() == 0
            || (stream.outstanding() < maxRequests / streams.size()
                && stream.outstandingBytes() < REQUEST_BYTES / streams.size()));
  }

  void submit(Sequence sequence, RequestStream stream) {
    if (failure != null || stream.isClosed()) {
      return;
    }
    stream.submitted(sequence);
    if (sequence.isFinished()) {
      stream.accept(sequence);
    } else {
      submitted.add(sequence);
      work.signal();
    }
  }

  Totals totals() {
    return totals;
  }

  void leave(RequestStream stream) {
    open.remove(stream);
    streams.remove(stream);
  }

  /** Forgets a stream and, before the next step, its sequences. */
  void drop(RequestStream stream) {
    leave(stream);
    dropped.add(stream);
    work.signal();
  }

  /** Fails if there will be no more results. */
  void throwIfStopped() {
    if (failure != null) {
      throw failure.get();
    }
  }

  boolean isClosed() {
    lock.lock();
    try {
      return closing;
    } finally {
      lock.unlock();
    }
  }

  // ---- the engine's thread -------------------------------------------------------------------

  private void run() {
    try {
      while (takeSubmitted()) {
        long start = System.nanoTime();
        Step step = scheduler.schedule();
        model.forward(step);
        logits.read(step, scheduler.scheduled());
        deliver(step.tokens(), scheduler.commit(), System.nanoTime() - start);
      }
    } catch (Throwable e) {
      MoontideException.Category category =
          e instanceof MoontideException known
                  && known.category() == MoontideException.Category.DEVICE
              ? MoontideException.Category.DEVICE
              : MoontideException.Category.ENGINE;
      stop(() -> new MoontideException(category, "the engine failed: " + e, e));
    }
  }

  /** Waits for something to compute; false when the engine is closed. */
  private boolean takeSubmitted() {
    lock.lock();
    try {
      while (true) {
        submitted.forEach(scheduler::add);
        submitted.clear();
        dropped.forEach(scheduler::drop);
        dropped.clear();
        if (closing || scheduler.hasWork()) {
          return !closing;
        }
        work.awaitUninterruptibly();
      }
    } finally {
      lock.unlock();
    }
  }

  private void deliver(int tokens, List<Sequence> finished, long nanos) {
    lock.lock();
    try {
      totals.addStep(tokens, nanos, scheduler.promptTokens() > 0, scheduler.preemptions());
      finished.forEach(sequence -> sequence.sink().accept(sequence));
    } finally {
      lock.unlock();
    }
  }

  private void stop(Supplier<MoontideException> reason) {
    lock.lock();
    try {
      if (failure == null) {
        failure = reason;
      }
      streams.forEach(RequestStream::wake);
    } finally {
      lock.unlock();
    }
  }
}
