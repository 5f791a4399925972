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

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.api.FinishReason;
import dev.moontide.api.GenerationRequest;
import dev.moontide.api.GenerationResult;
import dev.moontide.api.MoontideException;
import dev.moontide.api.Objective;
import dev.moontide.api.Outcome;
import dev.moontide.api.TokenIds;
import dev.moontide.engine.ResultStream;
import dev.moontide.spark.store.RequestKeys;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.IntStream;
import org.apache.spark.TaskKilledException;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.UnsafeRow;
import org.apache.spark.sql.catalyst.expressions.codegen.UnsafeRowWriter;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.unsafe.types.UTF8String;
import org.junit.jupiter.api.Test;

class CallRowsTest {
  private final List<Integer> drawn = new ArrayList<>();
  private final List<String> asked = new ArrayList<>();
  private JobMetrics.Snapshot counts = JobMetrics.Snapshot.ZERO;
  private boolean killed;

  private static UnsafeRow row(String text) {
    UnsafeRowWriter writer = new UnsafeRowWriter(1, 16 + text.length());
    writer.reset();
    writer.write(0, UTF8String.fromString(text));
    return writer.getRow();
  }

  /** Rows with these texts, counted as they are drawn. */
  private Iterator<InternalRow> rows(List<String> texts) {
    return IntStream.range(0, texts.size())
        .mapToObj(
            i -> {
              drawn.add(i);
              return (InternalRow) row(texts.get(i));
            })
        .iterator();
  }

  private static Outcome capitals(GenerationRequest request) {
    TokenIds prompt = request.prompt();
    String text = new String(prompt.toArray(), 0, prompt.length());
    return new Outcome.Completion(
        prompt, text.toUpperCase(java.util.Locale.ROOT), FinishReason.STOP, prompt.length());
  }

  private CallRows open(
      Iterator<InternalRow> rows, Function<Iterator<GenerationRequest>, ResultStream> engine) {
    Inference.Source source =
        new Inference.Source() {
          private static final long serialVersionUID = 1L;

          @Override
          public Inference open(JobOptions options, StructType schema) {
            return new Inference(
                (id, row) -> {
                  String text = row.getUTF8String(0).toString();
                  asked.add(text);
                  String prompt = text.substring(0, Math.min(8, text.length()));
                  return new GenerationRequest(
                      id,
                      TokenIds.of(prompt.chars().toArray()),
                      new Objective.Sample(options.sampling(), 0, 0));
                },
                engine);
          }

          @Override
          public RequestKeys keys(JobOptions options) {
            throw new UnsupportedOperationException("nothing is stored");
          }
        };
    ModelCall call =
        ModelCall.of(
            ModelCall.Function.AI_GEN, Map.of("spark.moontide.model", "m"), Map.of(), null);
    return CallRows.open(
        rows,
        List.of(call),
        List.of(row -> row.getUTF8String(0).numBytes() == 0 ? null : (UnsafeRow) row),
        source,
        null,
        more -> counts = counts.plus(more),
        () -> killed);
  }

  @Test
  void rowsLeaveInOrderAndEqualOnesAskOnce() {
    List<String> texts =
        IntStream.range(0, 5000).mapToObj(i -> i % 10 == 9 ? "" : "t" + i % 700).toList();
    try (CallRows answers = open(rows(texts), new FakeEngine(64, CallRowsTest::capitals))) {
      for (String text : texts) {
        InternalRow row = answers.next();
        assertEquals(text, row.getUTF8String(0).toString());
        if (text.isEmpty()) {
          assertTrue(row.isNullAt(1));
        } else {
          assertEquals(text.toUpperCase(java.util.Locale.ROOT), row.getUTF8String(1).toString());
        }
      }
      assertFalse(answers.hasNext());
    }
    assertEquals(asked.stream().distinct().count(), asked.size());
    assertEquals(asked.size(), counts.rows());
    assertEquals(0, counts.errors());
  }

  @Test
  void rowsBehindASlowOneDoNotPileUp() {
    // The first request is answered last of all that are drawn with it.
    Function<Iterator<GenerationRequest>, ResultStream> slow =
        requests ->
            new ResultStream() {
              private final Deque<GenerationRequest> waiting = new ArrayDeque<>();

              @Override
              public boolean hasNext() {
                while (waiting.size() < 4 && requests.hasNext()) {
                  waiting.add(requests.next());
                }
                return !waiting.isEmpty();
              }

              @Override
              public GenerationResult next() {
                GenerationRequest last = waiting.removeLast();
                return new GenerationResult(last.id(), 1, 0, capitals(last));
              }

              @Override
              public boolean isReady() {
                return !waiting.isEmpty();
              }

              @Override
              public void close() {
                waiting.clear();
              }
            };
    List<String> texts =
        IntStream.range(0, 1000).mapToObj(i -> "%08d".formatted(i) + "x".repeat(64 << 10)).toList();
    try (CallRows answers = open(rows(texts), slow)) {
      int most = 0;
      for (int i = 0; i < texts.size(); i++) {
        assertEquals("%08d".formatted(i), answers.next().getUTF8String(1).toString());
        most = Math.max(most, drawn.size() - i);
      }
      assertTrue(most > 200 && most < 270, "rows waiting: " + most);
    }
  }

  @Test
  void rowsThatAskNothingNeedNoEngine() {
    FakeEngine engine = new FakeEngine(4, CallRowsTest::capitals);
    try (CallRows answers = open(rows(List.of("", "", "a")), engine)) {
      answers.next();
      answers.next();
      assertEquals(0, engine.opened.get());
      assertEquals("A", answers.next().getUTF8String(1).toString());
      assertEquals(1, engine.opened.get());
    }
  }

  @Test
  void aKilledTaskStopsAndAnEngineThatLosesRequestsIsFoundOut() {
    List<String> texts = IntStream.range(0, 100).mapToObj(i -> "t" + i).toList();
    FakeEngine engine = new FakeEngine(4, CallRowsTest::capitals);
    try (CallRows answers = open(rows(texts), engine)) {
      answers.next();
      killed = true;
      assertThrows(TaskKilledException.class, () -> answers.forEachRemaining(row -> {}));
    }
    assertEquals(1, engine.closed.get());
    killed = false;
    FakeEngine empty = new FakeEngine(0, CallRowsTest::capitals);
    Function<Iterator<GenerationRequest>, ResultStream> lossy =
        requests -> {
          requests.next();
          return empty.apply(requests);
        };
    try (CallRows answers = open(rows(texts), lossy)) {
      MoontideException lost = assertThrows(MoontideException.class, answers::next);
      assertEquals("the engine ended without answering 1 requests it was given", lost.getMessage());
    }
  }
}
