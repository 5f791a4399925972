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
package dev.moontide.spark;

import dev.moontide.api.GenerationRequest;
import dev.moontide.api.GenerationResult;
import dev.moontide.api.MoontideException;
import dev.moontide.engine.ResultStream;
import dev.moontide.spark.store.TaskResults;
import dev.moontide.spark.store.TaskResults.Standing;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import java.util.function.Function;
import org.apache.spark.TaskKilledException;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow;
import org.apache.spark.sql.catalyst.expressions.JoinedRow;
import org.apache.spark.sql.catalyst.expressions.UnsafeRow;
import org.jspecify.annotations.Nullable;

/**
 * A partition's rows, each followed by the answers of the calls on it, in the order they came in.
 *
 * <p>The engine pulls, as it does for {@link AnswerRows}: its requests are drawn from the rows
 * while it has room. In order, because what Spark does above (a limit, a retried stage) may depend
 * on it; so a slow row holds back those behind it, and when these are many the requests end until
 * they have left. Rows without a request, or whose answers are stored, do not wait for the engine.
 * For one thread.
 */
public final class CallRows implements Iterator<InternalRow>, AutoCloseable {
  /** Rows that may wait for one before them. */
  private static final long MAX_PENDING_BYTES = 16 << 20;

  private static final int REPORT_EVERY = 256;

  /** How long to wait for rows of other tasks before looking whether this task was killed. */
  private static final long WAIT_MILLIS = 100;

  /** The values of a call's arguments in a row; null where the call is not evaluated. */
  @FunctionalInterface
  public interface Arguments {
    @Nullable UnsafeRow of(InternalRow row);
  }

  /** A question in the engine, or on its way there. */
  private record Asked(CallQuestions questions, CallAnswer answer) {}

  /** A row until it leaves. */
  private static final class PendingRow {
    final UnsafeRow row;
    final CallAnswer[] answers;

    PendingRow(UnsafeRow row, int calls) {
      this.row = row;
      answers = new CallAnswer[calls];
    }

    boolean isAnswered() {
      for (CallAnswer answer : answers) {
        if (!answer.isDone()) {
          return false;
        }
      }
      return true;
    }
  }

  private final Iterator<InternalRow> rows;
  private final List<CallEvaluation> calls;
  private final Function<Iterator<GenerationRequest>, ResultStream> engine;
  private final Consumer<JobMetrics.Snapshot> counts;
  private final BooleanSupplier killed;

  private final ArrayDeque<PendingRow> pending = new ArrayDeque<>();
  private long pendingBytes;
  private final ArrayDeque<GenerationRequest> queue = new ArrayDeque<>();
  private final Map<Long, Asked> asked = new HashMap<>();
  private long nextId;
  private int inEngine;
  private @Nullable ResultStream results;

  private final Requests requests = new Requests();
  private final Tally tally = new Tally();
  private final KeptResults shared;
  private final JoinedRow joined = new JoinedRow();

  private CallRows(
      Iterator<InternalRow> rows,
      List<CallEvaluation> calls,
      Function<Iterator<GenerationRequest>, ResultStream> engine,
      @Nullable TaskResults shared,
      Consumer<JobMetrics.Snapshot> counts,
      BooleanSupplier killed) {
    this.rows = rows;
    this.calls = calls;
    this.engine = engine;
    this.shared = new KeptResults(shared, tally);
    this.counts = counts;
    this.killed = killed;
  }

  /**
   * Opens the engine of {@code calls}, which all have the same model options.
   *
   * @param rows unsafe rows, read and copied one at a time
   * @param arguments of each call
   * @param shared the finished results; null if none are kept
   * @param counts takes the counts, some hundred answers at a time
   * @param killed whether the task's rows are no longer wanted
   */
  public static CallRows open(
      Iterator<InternalRow> rows,
      List<ModelCall> calls,
      List<Arguments> arguments,
      Inference.Source source,
      @Nullable TaskResults shared,
      Consumer<JobMetrics.Snapshot> counts,
      BooleanSupplier killed) {
    List<CallEvaluation> evaluations = new ArrayList<>();
    Map<JobOptions, CallQuestions> questions = new HashMap<>();
    Function<Iterator<GenerationRequest>, ResultStream> engine = null;
    for (int i = 0; i < calls.size(); i++) {
      ModelCall call = calls.get(i);
      CallQuestions known = questions.get(call.options());
      if (known == null) {
        Inference inference = source.open(call.options(), call.arguments());
        engine = inference.engine();
        known = new CallQuestions(call.options(), inference.prompter());
        questions.put(call.options(), known);
      }
      evaluations.add(new CallEvaluation(call, arguments.get(i), known));
    }
    if (engine == null) {
      throw new IllegalStateException("no calls");
    }
    return new CallRows(rows, evaluations, engine, shared, counts, killed);
  }

  @Override
  public boolean hasNext() {
    while (pending.isEmpty() || !pending.element().isAnswered()) {
      if (killed.getAsBoolean()) {
        throw new TaskKilledException("killed while rows were in the engine");
      }
      if (shared.take(0, this::answerReused)) {
        continue;
      }
      if (results != null || !queue.isEmpty()) {
        takeResult();
      } else if (canDraw()) {
        draw();
      } else if (shared.isWaiting()) {
        shared.take(WAIT_MILLIS, this::answerReused);
      } else {
        counts.accept(tally.take());
        return false;
      }
    }
    return true;
  }

  @Override
  public InternalRow next() {
    if (!hasNext()) {
      throw new NoSuchElementException("every row of the partition has left");
    }
    PendingRow first = pending.remove();
    pendingBytes -= first.row.getSizeInBytes();
    @Nullable Object[] answers = new Object[first.answers.length];
    for (int i = 0; i < answers.length; i++) {
      answers[i] = calls.get(i).value(first.answers[i]);
    }
    return joined.apply(first.row, new GenericInternalRow(answers));
  }

  private void takeResult() {
    if (results == null) {
      results = engine.apply(requests);
    }
    long start = System.nanoTime();
    requests.nanos = 0;
    boolean answered = results.hasNext();
    tally.addEngineNanos(System.nanoTime() - start - requests.nanos);
    if (answered) {
      GenerationResult result = results.next();
      inEngine--;
      shared.keep(result);
      answer(result);
    } else {
      results.close();
      results = null;
      if (inEngine > 0) {
        throw MoontideException.engine(
            "the engine ended without answering %d requests it was given", inEngine);
      }
    }
  }

  private void answerReused(GenerationResult result) {
    tally.countReused();
    answer(result);
  }

  private void answer(GenerationResult result) {
    Asked question = asked.remove(result.id());
    if (question == null) {
      throw new IllegalStateException("an answer to request " + result.id() + ", not asked");
    }
    question.questions().answer(question.answer(), result, tally);
    if (tally.rows() >= REPORT_EVERY) {
      counts.accept(tally.take());
    }
  }

  private boolean canDraw() {
    return shared.hasReturned()
        || (pendingBytes < MAX_PENDING_BYTES
            && shared.waitingBytes() < MAX_PENDING_BYTES
            && rows.hasNext());
  }

  /** Draws a row, or a request that waited for one that was given up, and asks what is to ask. */
  private void draw() {
    GenerationRequest returned = shared.takeBack();
    if (returned != null) {
      ask(returned);
    } else {
      drawRow();
    }
  }

  private void drawRow() {
    PendingRow row = new PendingRow((UnsafeRow) rows.next().copy(), calls.size());
    for (int i = 0; i < row.answers.length; i++) {
      CallEvaluation call = calls.get(i);
      row.answers[i] =
          call.ask(
              row.row,
              nextId,
              tally,
              (request, answer) -> {
                nextId++;
                asked.put(request.id(), new Asked(call.questions(), answer));
                ask(request);
              });
    }
    pending.add(row);
    pendingBytes += row.row.getSizeInBytes();
  }

  /** Queues {@code request}, unless its result is known or about to be. */
  private void ask(GenerationRequest request) {
    Standing standing = shared.ask(request);
    if (standing instanceof Standing.Answered answered) {
      answerReused(answered.result());
    } else if (standing instanceof Standing.ToCompute) {
      queue.add(request);
    }
  }

  /** Drops what is still in the engine, and stores what is finished. */
  @Override
  public void close() {
    try (shared) {
      if (results != null) {
        results.close();
        results = null;
      }
    } finally {
      counts.accept(tally.take());
    }
  }

  /** The requests of the rows that have some, as the engine draws them. */
  private final class Requests implements Iterator<GenerationRequest> {
    /** Time spent here, which the engine waits for. */
    private long nanos;

    @Override
    public boolean hasNext() {
      long start = System.nanoTime();
      while (queue.isEmpty() && canDraw()) {
        draw();
      }
      nanos += System.nanoTime() - start;
      return !queue.isEmpty();
    }

    @Override
    public GenerationRequest next() {
      if (!hasNext()) {
        throw new NoSuchElementException("no request is left");
      }
      inEngine++;
      return queue.remove();
    }
  }
}
