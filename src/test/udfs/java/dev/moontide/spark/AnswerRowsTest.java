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
import dev.moontide.api.MoontideException;
import dev.moontide.api.Objective;
import dev.moontide.api.Outcome;
import dev.moontide.api.TokenIds;
import dev.moontide.engine.ResultStream;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.spark.TaskKilledException;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.Test;

class AnswerRowsTest {
  private static final StructType ID_AND_TEXT =
      new StructType().add("id", DataTypes.IntegerType).add("text", DataTypes.StringType);
  private static final JobOptions GENERATE =
      JobOptions.fromMap(Map.of("model", "m", "text-column", "text"));

  /** The text's characters as tokens, of which all but two are cached; null has no prompt. */
  private static final Inference.Prompter PROMPTER =
      new Inference.Prompter() {
        @Override
        public GenerationRequest request(long id, InternalRow row) {
          if (row.isNullAt(1)) {
            throw MoontideException.row("no text");
          }
          int[] tokens = row.getUTF8String(1).toString().chars().toArray();
          return new GenerationRequest(
              id, TokenIds.of(tokens), new Objective.Sample(GENERATE.sampling(), 0, 0));
        }

        @Override
        public int cachedTokens(TokenIds prompt) {
          return prompt.length() - 2;
        }
      };

  /** The prompt again, in capitals. */
  private static Outcome capitals(GenerationRequest request) {
    TokenIds prompt = request.prompt();
    int length = prompt.length();
    if (length > 0 && prompt.get(0) == '!') {
      return new Outcome.Failure("an exclamation");
    }
    String text = new String(prompt.toArray(), 0, length).toUpperCase(java.util.Locale.ROOT);
    return new Outcome.Completion(prompt, text, FinishReason.LENGTH, length);
  }

  private static Partition partition(
      Stream<Row> rows, Function<Iterator<GenerationRequest>, ResultStream> engine) {
    return new Partition(GENERATE, ID_AND_TEXT, rows.iterator(), PROMPTER, engine);
  }

  @Test
  void everyRowLeavesOnceWithItsOwnAnswer() {
    int count = 5000;
    FakeEngine engine = new FakeEngine(64, AnswerRowsTest::capitals);
    Stream<Row> rows =
        IntStream.range(0, count)
            .mapToObj(
                i ->
                    RowFactory.create(i, i % 7 == 3 ? null : i % 11 == 5 ? "!row" + i : "row" + i));
    try (Partition partition = partition(rows, engine)) {
      List<Row> answers = partition.rest();
      Set<Integer> ids = new HashSet<>();
      boolean inOrder = true;
      int previous = -1;
      for (Row row : answers) {
        int id = row.getInt(0);
        inOrder &= id > previous;
        previous = id;
        assertTrue(ids.add(id), "row " + id + " left twice");
        if (id % 7 == 3) {
          assertEquals(
              RowFactory.create(id, null, null, "error", "no text", null, null, null), row);
        } else if (id % 11 == 5) {
          assertEquals(
              RowFactory.create(
                  id,
                  "!row" + id,
                  null,
                  "error",
                  "an exclamation",
                  ("!row" + id).length(),
                  ("!row" + id).length() - 2,
                  null),
              row);
        } else {
          int length = ("row" + id).length();
          assertEquals(
              RowFactory.create(
                  id, "row" + id, "ROW" + id, "length", null, length, length - 2, length),
              row);
        }
      }
      assertEquals(count, answers.size());
      assertFalse(inOrder, "the fake engine answers out of order");
      assertEquals(count, partition.counts.rows());
      assertEquals(
          answers.stream().filter(row -> "error".equals(row.getString(3))).count(),
          partition.counts.errors());
      assertEquals(64, engine.mostInFlight.get());
      assertEquals(1, engine.opened.get());
    }
  }

  @Test
  void memoryStaysFlatOverManyRows() {
    FakeEngine engine = new FakeEngine(256, AnswerRowsTest::capitals);
    Stream<Row> rows = IntStream.range(0, 100_000).mapToObj(i -> RowFactory.create(i, "row" + i));
    try (Partition partition = partition(rows, engine)) {
      int count = 0;
      while (partition.answers.hasNext()) {
        partition.answers.next();
        count++;
      }
      assertEquals(100_000, count);
      long peak = partition.allocator.getPeakMemoryAllocation();
      assertTrue(peak < 24 << 20, () -> "peak of Arrow memory: " + peak);
    }
  }

  @Test
  void rowsWithoutPromptsDoNotPileUp() {
    // Only the first and the last row reach the engine; the others must leave before the last is
    // ever drawn.
    int count = 200_000;
    String bulk = "x".repeat(400);
    FakeEngine engine = new FakeEngine(256, AnswerRowsTest::capitals);
    StructType schema = ID_AND_TEXT.add("bulk", DataTypes.StringType);
    Iterator<Row> rows =
        IntStream.range(0, count)
            .mapToObj(i -> RowFactory.create(i, i == 0 || i == count - 1 ? "here" : null, bulk))
            .iterator();
    try (Partition partition = new Partition(GENERATE, schema, rows, PROMPTER, engine)) {
      int read = 0;
      while (partition.answers.hasNext()) {
        partition.answers.next();
        read++;
      }
      assertEquals(count, read);
      long peak = partition.allocator.getPeakMemoryAllocation();
      assertTrue(peak < 64 << 20, () -> "peak of Arrow memory: " + peak);
      assertTrue(engine.opened.get() > 1, "the requests ended to let the error rows out");
      assertEquals(engine.opened.get(), engine.closed.get());
      assertEquals(count - 2, partition.counts.errors());
    }
  }

  @Test
  void aLargeRowTravelsAlone() {
    String large = "y".repeat(5 << 20);
    Map<Integer, Integer> lengths = new HashMap<>();
    Stream<Row> rows =
        IntStream.range(0, 1000).mapToObj(i -> RowFactory.create(i, i == 500 ? large : "z" + i));
    FakeEngine engine = new FakeEngine(16, request -> new Outcome.Failure("unread"));
    try (Partition partition = partition(rows, engine)) {
      for (Row row : partition.rest()) {
        lengths.put(row.getInt(0), row.getString(1).length());
      }
      assertEquals(1000, lengths.size());
      assertEquals(large.length(), lengths.get(500));
      // The row twice, going in and out, each in vectors that grew by doubling.
      long peak = partition.allocator.getPeakMemoryAllocation();
      assertTrue(peak < 40 << 20, () -> "peak of Arrow memory: " + peak);
    }
  }

  @Test
  void rowsLeaveAsSoonAsNothingElseIsReady() {
    // The reader must have the first answer before the engine is asked for more than it has room
    // for, though a batch could hold every row.
    int[] drawn = new int[1];
    Stream<Row> rows =
        IntStream.range(0, 600)
            .mapToObj(
                i -> {
                  drawn[0] = i + 1;
                  return RowFactory.create(i, "row" + i);
                });
    try (Partition partition = partition(rows, new FakeEngine(2, AnswerRowsTest::capitals))) {
      partition.answers.next();
      assertTrue(drawn[0] <= ArrowBatch.MAX_ROWS + 1, () -> drawn[0] + " rows drawn");
    }
  }

  @Test
  void aFailureOfTheEngineFailsTheTaskAndFreesEverything() {
    FakeEngine engine =
        new FakeEngine(
            8,
            request -> {
              if (request.id() == 300) {
                throw MoontideException.engine("broken");
              }
              return capitals(request);
            });
    Stream<Row> rows = IntStream.range(0, 1000).mapToObj(i -> RowFactory.create(i, "row" + i));
    try (Partition partition = partition(rows, engine)) {
      MoontideException e = assertThrows(MoontideException.class, partition::rest);
      assertEquals("broken", e.getMessage());
      partition.answers.close();
      assertEquals(0, partition.allocator.getAllocatedMemory());
      assertEquals(1, engine.closed.get());
    }
  }

  @Test
  void aReaderThatStopsEarlyFreesEverything() {
    FakeEngine engine = new FakeEngine(8, AnswerRowsTest::capitals);
    Stream<Row> rows = IntStream.range(0, 1000).mapToObj(i -> RowFactory.create(i, "row" + i));
    try (Partition partition = partition(rows, engine)) {
      partition.answers.next();
      partition.answers.close();
      assertEquals(0, partition.allocator.getAllocatedMemory());
      assertEquals(1, engine.closed.get());
    }
  }

  @Test
  void aKilledTaskStopsBeforeItsNextResult() {
    FakeEngine engine = new FakeEngine(4, AnswerRowsTest::capitals);
    Stream<Row> rows = IntStream.range(0, 1000).mapToObj(i -> RowFactory.create(i, "row" + i));
    try (Partition partition = partition(rows, engine)) {
      partition.answers.next();
      partition.killed = true;
      assertThrows(TaskKilledException.class, partition::rest);
    }
  }

  @Test
  void anEngineThatLosesRowsIsFoundOut() {
    Stream<Row> rows = IntStream.range(0, 10).mapToObj(i -> RowFactory.create(i, "row" + i));
    Function<Iterator<GenerationRequest>, ResultStream> lossy =
        requests -> {
          ResultStream all = new FakeEngine(4, AnswerRowsTest::capitals).apply(requests);
          assertTrue(all.hasNext());
          all.next();
          return all;
        };
    try (Partition partition = partition(rows, lossy)) {
      MoontideException e = assertThrows(MoontideException.class, partition::rest);
      assertEquals("the engine ended without answering 1 rows it was given", e.getMessage());
    }
  }

  @Test
  void aNullTextIsTheRowsErrorButABrokenPrompterIsTheTasks() {
    Inference.Prompter broken =
        (id, row) -> {
          throw MoontideException.configuration("no template");
        };
    try (Partition partition =
        new Partition(
            GENERATE,
            ID_AND_TEXT,
            List.of(RowFactory.create(1, "a")).iterator(),
            broken,
            new FakeEngine(4, AnswerRowsTest::capitals))) {
      assertEquals(
          "no template", assertThrows(MoontideException.class, partition::rest).getMessage());
    }
  }

  @Test
  void noRowsNeedNoEngine() {
    FakeEngine engine = new FakeEngine(4, AnswerRowsTest::capitals);
    try (Partition partition = partition(Stream.of(), engine)) {
      assertFalse(partition.answers.hasNext());
      assertEquals(0, engine.opened.get());
    }
  }
}
