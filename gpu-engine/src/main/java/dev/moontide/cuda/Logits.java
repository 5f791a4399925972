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
package dev.moontide.cuda;

import dev.moontide.api.SamplingParameters;
import dev.moontide.tensor.LogitQueries;
import dev.moontide.tensor.LogitQueries.Draw;
import dev.moontide.tensor.TokenMask;
import java.nio.ByteBuffer;
import java.nio.LongBuffer;

/**
 * Answers what is asked of whole rows of logits: one copy to the device, a kernel for draws and one
 * for log-probabilities, one copy back, which is waited for.
 */
final class Logits implements Owned.Resource {
  private static final int LOG_PROBABILITY_THREADS = 256;
  private static final int DRAW_THREADS = 1024;

  /** Bytes of a draw in {@code sampling.cu}. */
  private static final int DRAW_BYTES = 8 * Long.BYTES + 8 * Integer.BYTES;

  /** Masks on the device at once, 2.6 MB of Kimi-K2's vocabulary. */
  private static final int MASKS_AT_ONCE = 128;

  private final Execution run;
  private final Kernel draw;
  private final Kernel logProbabilities;
  private final HostExchange exchange;
  private final HostExchange masks;

  Logits(Execution run) {
    this.run = run;
    draw = run.kernels.kernel("draw", DRAW_THREADS);
    logProbabilities = run.kernels.kernel("log_probabilities", LOG_PROBABILITY_THREADS);
    exchange = new HostExchange(run);
    masks = new HostExchange(run);
  }

  void answer(LogitQueries queries, CudaTensor logits) {
    int draws = queries.draws();
    int count = queries.logProbabilityCount();
    if (draws + count == 0) {
      return;
    }
    int ints = 2 * queries.seen() + 3 * count + 1;
    int answers = aligned(Math.addExact(draws * DRAW_BYTES, ints * Integer.BYTES));
    int answerBytes = count * Double.BYTES + draws * Integer.BYTES;
    ByteBuffer host = exchange.begin(Math.addExact(answers, answerBytes));
    for (int i = 0; i < draws; i++) {
      put(host, queries.draw(i), logits.capacity());
    }
    int seenAt = host.position();
    putSeen(host, queries);
    int startsAt = host.position();
    int distinct = putStarts(host, queries);
    int rowsAt = host.position();
    put(host, queries.rows(), count);
    int tokensAt = host.position();
    put(host, queries.tokens(), count);
    exchange.upload(host.position());
    long there = exchange.address();
    if (count > 0) {
      run.launcher
          .of(logProbabilities)
          .pointer(there + answers)
          .pointer(logits.memory())
          .pointer(there + startsAt)
          .pointer(there + rowsAt)
          .pointer(there + tokensAt)
          .integer(logits.columns())
          .grid(distinct, 1, 1);
    }
    if (draws > 0) {
      draw(queries, logits, there, seenAt, answers + (long) count * Double.BYTES);
    }
    exchange.download(answers, answerBytes);
    take(host.clear(), queries);
  }

  /**
   * Launches the draws, those of some masks at a time; the first launch has those without any.
   *
   * @param there where the draws are on the device
   * @param seenAt of the seen tokens from there
   * @param tokensAt of the answers from there
   */
  private void draw(
      LogitQueries queries, CudaTensor logits, long there, long seenAt, long tokensAt) {
    int maskInts = TokenMask.words(logits.columns()) * Long.BYTES / Integer.BYTES;
    int first = 0;
    do {
      int end = Math.min(queries.masks(), first + MASKS_AT_ONCE);
      run.launcher
          .of(draw)
          .pointer(there + tokensAt)
          .pointer(logits.memory())
          .pointer(there)
          .pointer(there + seenAt)
          .pointer(there + seenAt + (long) queries.seen() * Integer.BYTES)
          .pointer(end > first ? upload(queries, first, end, logits.columns()) : 0)
          .integer(logits.columns())
          .integer(maskInts)
          .integer(first)
          .integer(end)
          .grid(queries.draws(), 1, 1);
      first = end;
    } while (first < queries.masks());
  }

  /** Brings masks {@code [first, end)} to the device when the ones before are no longer read. */
  private long upload(LogitQueries queries, int first, int end, int columns) {
    if (first > 0) {
      run.stream.synchronise();
    }
    int bytes = (end - first) * TokenMask.words(columns) * Long.BYTES;
    LongBuffer host = masks.begin(bytes).asLongBuffer();
    for (int i = first; i < end; i++) {
      TokenMask mask = queries.mask(i);
      if (mask.size() != columns) {
        throw new IllegalArgumentException(
            "a mask of %d tokens for %d logits".formatted(mask.size(), columns));
      }
      mask.copyTo(host);
    }
    masks.upload(bytes);
    return masks.address();
  }

  private static int aligned(int bytes) {
    return (bytes + Long.BYTES - 1) & -Long.BYTES;
  }

  private static void put(ByteBuffer host, Draw draw, int rows) {
    if (draw.row() < 0 || draw.row() >= rows) {
      throw new IllegalArgumentException(
          "a draw from row %d of %d rows of logits".formatted(draw.row(), rows));
    }
    SamplingParameters parameters = draw.parameters();
    host.putLong(parameters.seed())
        .putLong(draw.rowKey())
        .putDouble(parameters.temperature())
        .putDouble(parameters.topP())
        .putDouble(parameters.minP())
        .putDouble(parameters.repetitionPenalty())
        .putDouble(parameters.frequencyPenalty())
        .putDouble(parameters.presencePenalty())
        .putInt(draw.row())
        .putInt(draw.sampleIndex())
        .putInt(draw.position())
        .putInt(parameters.topK())
        .putInt(draw.seenStart())
        .putInt(draw.seenEnd())
        .putInt(draw.mask() == null ? -1 : draw.maskIndex())
        .putInt(0);
  }

  private static void putSeen(ByteBuffer host, LogitQueries queries) {
    for (int i = 0; i < queries.seen(); i++) {
      host.putInt(queries.seenToken(i));
    }
    for (int i = 0; i < queries.seen(); i++) {
      host.putInt(queries.seenOccurrences(i));
    }
  }

  /** The first query of each distinct row, and their number; returns how many rows there are. */
  private static int putStarts(ByteBuffer host, LogitQueries queries) {
    int[] rows = queries.rows();
    int count = queries.logProbabilityCount();
    int distinct = 0;
    for (int i = 0; i < count; i++) {
      if (i == 0 || rows[i] != rows[i - 1]) {
        host.putInt(i);
        distinct++;
      }
    }
    host.putInt(count);
    return distinct;
  }

  private static void put(ByteBuffer host, int[] values, int count) {
    for (int i = 0; i < count; i++) {
      host.putInt(values[i]);
    }
  }

  private static void take(ByteBuffer host, LogitQueries queries) {
    for (int i = 0; i < queries.logProbabilityCount(); i++) {
      queries.logProbabilities()[i] = host.getDouble();
    }
    for (int i = 0; i < queries.draws(); i++) {
      int token = host.getInt();
      if (token >= 0) {
        queries.draw(i).answer(token);
      }
    }
  }

  /** Copies a row of float32. */
  void read(CudaTensor x, int row, float[] out, int offset) {
    ByteBuffer host = exchange.begin((int) x.rowBytes());
    exchange.download(x.memory(), row * x.rowBytes(), (int) x.rowBytes());
    host.asFloatBuffer().get(out, offset, x.columns());
  }

  @Override
  public void close() {
    exchange.close();
    masks.close();
  }
}
