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
 * they have left. Rows without a request do not wait for the engine. For one thread.
 */
public final class CallRows implements Iterator<InternalRow>, AutoCloseable {
  /** Rows that may wait for one before them. */
  private static final long MAX_PENDING_BYTES = 16 << 20;

  private static final int REPORT_EVERY = 256;

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
  private @Nullable ResultStream results;

  private final Requests requests = new Requests();
  private final Tally tally = new Tally();
  private final JoinedRow joined = new JoinedRow();

  private CallRows(
      Iterator<InternalRow> rows,
      List<CallEvaluation> calls,
      Function<Iterator<GenerationRequest>, ResultStream> engine,
      Consumer<JobMetrics.Snapshot> counts,
      BooleanSupplier killed) {
    this.rows = rows;
    this.calls = calls;
    this.engine = engine;
    this.counts = counts;
    this.killed = killed;
  }

  /**
   * Opens the engine of {@code calls}, which all have the same model options.
   *
   * @param rows unsafe rows, read and copied one at a time
   * @param arguments of each call
   * @param counts takes the counts, some hundred answers at a time
   * @param killed whether the task's rows are no longer wanted
   */
  public static CallRows open(
      Iterator<InternalRow> rows,
      List<ModelCall> calls,
      List<Arguments> arguments,
      Inference.Source source,
      Consumer<JobMetrics.Snapshot> counts,
      BooleanSupplier killed) {
    List<CallEvaluation> evaluations = new ArrayList<>();
    Map<JobOptions, CallQuestions> questions = new HashMap<>();
    Function<Iterator<GenerationRequest>, ResultStream> engine = null;
    for (int i = 0; i < calls.size(); i++) {
      ModelCall call = calls.get(i);
      CallQuestions shared = questions.get(call.options());
      if (shared == null) {
        Inference inference = source.open(call.options(), call.arguments());
        engine = inference.engine();
        shared = new CallQuestions(call.options(), inference.prompter());
        questions.put(call.options(), shared);
      }
      evaluations.add(new CallEvaluation(call, arguments.get(i), shared));
    }
    if (engine == null) {
      throw new IllegalStateException("no calls");
    }
    return new CallRows(rows, evaluations, engine, counts, killed);
  }

  @Override
  public boolean hasNext() {
    while (pending.isEmpty() || !pending.element().isAnswered()) {
      if (killed.getAsBoolean()) {
        throw new TaskKilledException("killed while rows were in the engine");
      }
      if (results != null || !queue.isEmpty()) {
        takeResult();
      } else if (rows.hasNext()) {
        draw();
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
      Asked question = asked.remove(result.id());
      if (question == null) {
        throw new IllegalStateException("an answer to request " + result.id() + ", not asked");
      }
      question.questions().answer(question.answer(), result, tally);
      if (tally.rows() >= REPORT_EVERY) {
        counts.accept(tally.take());
      }
    } else {
      results.close();
      results = null;
      if (!asked.isEmpty()) {
        throw MoontideException.engine(
            "the engine ended without answering %d requests it was given", asked.size());
      }
    }
  }

  /** Draws a row and queues the requests of its calls. */
  private void draw() {
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
                queue.add(request);
              });
    }
    pending.add(row);
    pendingBytes += row.row.getSizeInBytes();
  }

  /** Drops what is still in the engine. */
  @Override
  public void close() {
    if (results != null) {
      results.close();
      results = null;
    }
    counts.accept(tally.take());
  }

  /** The requests of the rows that have some, as the engine draws them. */
  private final class Requests implements Iterator<GenerationRequest> {
    /** Time spent here, which the engine waits for. */
    private long nanos;

    @Override
    public boolean hasNext() {
      long start = System.nanoTime();
      while (queue.isEmpty() && pendingBytes < MAX_PENDING_BYTES && rows.hasNext()) {
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
      return queue.remove();
    }
  }
}
