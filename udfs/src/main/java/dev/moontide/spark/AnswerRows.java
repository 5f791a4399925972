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
import dev.moontide.api.Objective;
import dev.moontide.engine.ResultStream;
import dev.moontide.spark.store.TaskResults;
import dev.moontide.spark.store.TaskResults.Standing;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import org.apache.spark.TaskKilledException;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.JoinedRow;
import org.jspecify.annotations.Nullable;

/**
 * A partition's rows with their answers, in completion order.
 *
 * <p>The engine pulls: whoever reads this asks the engine for a result, which draws requests, and
 * so rows, while it has room. What is in memory is what the engine has room for, and the batches it
 * came in. A row without a request, or whose result is known, goes straight to the output; when
 * many do, the output must be read before more rows are drawn, so the requests end there, the
 * engine finishes what it has, and a new stream of requests follows. The same holds where many rows
 * wait for equal ones that are in the engine.
 */
final class AnswerRows implements Iterator<Row>, AutoCloseable {
  /**
   * Finished rows that may wait for their reader while the engine draws requests, and rows that may
   * wait for equal ones. So large because ending the requests leaves the engine idle.
   */
  private static final long MAX_WAITING_BYTES = 16 << 20;

  /** How long to wait for rows of other tasks before looking whether this task was killed. */
  private static final long WAIT_MILLIS = 100;

  private final InputRows input;
  private final OutputRows output;
  private final Inference inference;
  private final KeptResults shared;
  private final AnswerColumns answer;
  private final @Nullable Column truth;
  private final Consumer<JobMetrics.Snapshot> counts;
  private final BooleanSupplier killed;

  private final Requests requests = new Requests();
  private final JoinedRow joined = new JoinedRow();
  private final Tally tally = new Tally();
  private @Nullable ResultStream results;

  /**
   * @param shared the job's finished results; null if none are kept
   * @param truth column of the right labels, if there is one
   * @param counts takes the counts, batch by batch
   * @param killed whether the task's answers are no longer wanted
   */
  AnswerRows(
      InputRows input,
      OutputRows output,
      Inference inference,
      @Nullable TaskResults shared,
      AnswerColumns answer,
      @Nullable Column truth,
      Consumer<JobMetrics.Snapshot> counts,
      BooleanSupplier killed) {
    this.input = input;
    this.output = output;
    this.inference = inference;
    this.shared = new KeptResults(shared, tally);
    this.answer = answer;
    this.truth = truth;
    this.counts = counts;
    this.killed = killed;
  }

  @Override
  public boolean hasNext() {
    while (!output.hasNext()) {
      if (killed.getAsBoolean()) {
        throw new TaskKilledException("killed while rows were in the engine");
      }
      if (results == null && !requests.isAnyLeft() && !shared.isWaiting()) {
        reportCounts();
        return false;
      }
      shared.take(0, this::leaveReused);
      if (results != null || requests.hasNext()) {
        takeResult();
      } else {
        output.flush();
        if (!output.hasNext()) {
          shared.take(WAIT_MILLIS, this::leaveReused);
          output.flush();
        }
      }
    }
    return true;
  }

  @Override
  public Row next() {
    if (!hasNext()) {
      throw new NoSuchElementException("every row of the partition has left");
    }
    long start = System.nanoTime();
    Row row = output.next();
    tally.addArrowNanos(System.nanoTime() - start);
    return row;
  }

  private void leaveReused(GenerationResult result) {
    tally.countReused();
    leave(result);
  }

  private void takeResult() {
    if (results == null) {
      results = inference.engine().apply(requests);
    }
    long start = System.nanoTime();
    requests.nanos = 0;
    boolean answered = results.hasNext();
    tally.addEngineNanos(System.nanoTime() - start - requests.nanos);
    if (answered) {
      GenerationResult result = results.next();
      requests.inEngine--;
      shared.keep(result);
      leave(result);
    } else {
      results.close();
      results = null;
      if (requests.inEngine > 0) {
        throw MoontideException.engine(
            "the engine ended without answering %d rows it was given", requests.inEngine);
      }
    }
    if (results == null || !results.isReady()) {
      output.flush();
    }
  }

  private void leave(GenerationResult result) {
    long id = result.id();
    tally.countCached(result);
    answer.fill(result, input.choices(id), input.cachedTokens(id));
    leave(id);
  }

  /** Writes a row to the output with what {@link #answer} holds, and lets it go. */
  private void leave(long id) {
    long start = System.nanoTime();
    InternalRow row = input.row(id);
    output.add(joined.apply(row, answer.row()), input.bytes(id) + answer.bytes());
    tally.count(answer, truth == null ? null : truth.text(row));
    input.release(id);
    tally.addArrowNanos(System.nanoTime() - start);
    if (tally.rows() == ArrowBatch.MAX_ROWS) {
      reportCounts();
    }
  }

  private void reportCounts() {
    counts.accept(tally.take());
  }

  /** Drops what is still in the engine, stores what is finished and frees every batch. */
  @Override
  public void close() {
    try (input;
        output;
        shared) {
      if (results != null) {
        results.close();
        results = null;
      }
    }
  }

  /** The requests of the rows that have one, as the engine draws them. */
  private final class Requests implements Iterator<GenerationRequest> {
    private @Nullable GenerationRequest next;

    /** Time spent here, which the engine waits for. */
    private long nanos;

    /** Requests handed out and not answered. */
    private int inEngine;

    /** Whether a row is left that has not been drawn, or been drawn by the engine. */
    boolean isAnyLeft() {
      return next != null || input.hasNext() || shared.hasReturned();
    }

    @Override
    public boolean hasNext() {
      long start = System.nanoTime();
      while (next == null && hasRoom() && isAnyLeft()) {
        GenerationRequest returned = shared.takeBack();
        if (returned != null) {
          ask(returned);
        } else {
          draw();
        }
      }
      nanos += System.nanoTime() - start;
      return next != null;
    }

    private boolean hasRoom() {
      return output.bytes() < MAX_WAITING_BYTES && shared.waitingBytes() < MAX_WAITING_BYTES;
    }

    /** Makes {@code request} the next, unless its result is known or about to be. */
    private void ask(GenerationRequest request) {
      Standing standing = shared.ask(request);
      if (standing instanceof Standing.Answered answered) {
        leaveReused(answered.result());
      } else if (standing instanceof Standing.ToCompute) {
        next = request;
      }
    }

    private void draw() {
      long start = System.nanoTime();
      long id = input.next();
      InternalRow row = input.row(id);
      long drawn = System.nanoTime();
      tally.addArrowNanos(drawn - start);
      try {
        GenerationRequest request = inference.prompter().request(id, row);
        if (request.objective() instanceof Objective.Choose choose) {
          input.keepChoices(id, choose.choices());
        }
        input.keepCachedTokens(id, inference.prompter().cachedTokens(request.prompt()));
        tally.addPromptNanos(System.nanoTime() - drawn);
        ask(request);
      } catch (MoontideException e) {
        if (e.category() != MoontideException.Category.ROW) {
          throw e;
        }
        tally.addPromptNanos(System.nanoTime() - drawn);
        answer.fillError(String.valueOf(e.getMessage()));
        leave(id);
      }
    }

    @Override
    public GenerationRequest next() {
      if (!hasNext() || next == null) {
        throw new NoSuchElementException("no request is left");
      }
      GenerationRequest request = next;
      next = null;
      inEngine++;
      return request;
    }
  }
}
