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
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.api.FinishReason;
import dev.moontide.api.GenerationRequest;
import dev.moontide.api.Objective;
import dev.moontide.api.Outcome;
import dev.moontide.api.TokenIds;
import dev.moontide.spark.store.RequestKeys;
import dev.moontide.spark.store.ResultFolder;
import dev.moontide.spark.store.ResultStore;
import dev.moontide.spark.store.TaskResults;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.TaskKilledException;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.util.SerializableConfiguration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Partitions that share finished results: which rows are computed, and what comes out. */
class FinishedResultsTest {
  private static final StructType ID_AND_TEXT =
      new StructType().add("id", DataTypes.IntegerType).add("text", DataTypes.StringType);
  private static final JobOptions GREEDY =
      JobOptions.fromMap(Map.of("model", "m", "text-column", "text"));
  private static final JobOptions DRAWN =
      JobOptions.fromMap(Map.of("model", "m", "text-column", "text", "temperature", "1"));

  @TempDir Path folder;
  @TempDir Path spool;

  /** The prompts the engine was given. */
  private final Queue<String> computed = new ConcurrentLinkedQueue<>();

  private Outcome answer(GenerationRequest request) {
    String text = text(request.prompt());
    computed.add(text);
    Objective.Sample sample = (Objective.Sample) request.objective();
    String drawn = sample.parameters().isGreedy() ? "" : " " + sample.rowKey();
    return new Outcome.Completion(request.prompt(), text + "!" + drawn, FinishReason.STOP, 1);
  }

  private static String text(TokenIds tokens) {
    return new String(tokens.toArray(), 0, tokens.length());
  }

  /**
   * @param jvm names the JVM that the task runs in
   */
  private Partition partition(JobOptions options, String jvm, Stream<Row> rows) {
    TaskResults results =
        ResultStore.open(
            new ResultFolder(
                folder.toUri().toString(),
                jvm,
                new SerializableConfiguration(new Configuration(false))),
            new RequestKeys("model", 1000),
            spool);
    Inference.Prompter prompter =
        (id, row) ->
            new GenerationRequest(
                id,
                TokenIds.of(row.getUTF8String(1).toString().chars().toArray()),
                new Objective.Sample(options.sampling(), row.getInt(0), 0));
    return new Partition(
        options, ID_AND_TEXT, rows.iterator(), prompter, new FakeEngine(64, this::answer), results);
  }

  private static Stream<Row> rows(int from, int to) {
    return IntStream.range(from, to).mapToObj(i -> RowFactory.create(i, "row" + i));
  }

  /** Rows as text, in the order of their ids, without what differs between runs. */
  private static List<String> sorted(List<Row> rows) {
    return rows.stream()
        .sorted(Comparator.comparing(row -> row.getInt(0)))
        .map(row -> row.mkString("|").replaceFirst("\\|[0-9]+\\|([0-9]+)$", "|$1"))
        .toList();
  }

  private List<String> run(JobOptions options, String jvm, Stream<Row> rows) {
    try (Partition partition = partition(options, jvm, rows)) {
      return sorted(partition.rest());
    }
  }

  @Test
  void equalGreedyRowsAreComputedOnce() {
    int count = 20_000;
    try (Partition partition =
        partition(
            GREEDY,
            "a",
            IntStream.range(0, count).mapToObj(i -> RowFactory.create(i, "row" + i % 10)))) {
      List<Row> rows = partition.rest();
      assertEquals(count, rows.size());
      for (Row row : rows) {
        assertEquals("row" + row.getInt(0) % 10 + "!", row.getString(2));
      }
      assertEquals(10, computed.size());
      assertEquals(count - 10, partition.counts.reused());
      assertEquals(count, partition.counts.rows());
    }
  }

  @Test
  void equalRowsThatAreDrawnAreNot() {
    List<String> rows =
        run(DRAWN, "a", IntStream.range(0, 10).mapToObj(i -> RowFactory.create(i, "row")));
    assertEquals(10, computed.size());
    assertEquals("3|row|row! 3|stop|null|3|1", rows.get(3));
    assertEquals(
        rows, run(DRAWN, "b", IntStream.range(0, 10).mapToObj(i -> RowFactory.create(i, "row"))));
    assertEquals(10, computed.size());
  }

  /** A task fails with rows in the engine; its retry is in another JVM. */
  @Test
  void aRetryComputesOnlyWhatWasNotFinished() {
    List<String> expected = run(GREEDY, "other", rows(10_000, 13_000));
    computed.clear();
    int finished;
    try (Partition partition = partition(GREEDY, "a", rows(0, 3000))) {
      for (int i = 0; i < 1000; i++) {
        partition.answers.next();
      }
      finished = computed.size();
      partition.killed = true;
      assertThrows(TaskKilledException.class, () -> partition.answers.forEachRemaining(r -> {}));
    }
    assertTrue(finished >= 1000, () -> "finished: " + finished);
    List<String> retried = run(GREEDY, "b", rows(0, 3000));
    assertEquals(3000, computed.size());
    assertEquals(expected.size(), retried.size());
    // Whatever the partitions of a rerun are.
    List<Row> rerun = new ArrayList<>();
    for (int part = 0; part < 6; part++) {
      int remainder = part;
      try (Partition partition =
          partition(GREEDY, "c", rows(0, 3000).filter(row -> row.getInt(0) % 6 == remainder))) {
        rerun.addAll(partition.rest());
      }
    }
    assertEquals(retried, sorted(rerun));
    assertEquals(3000, computed.size());
  }

  /** The original and its copy run at the same time in one JVM, and a third in another. */
  @Test
  void speculativeCopiesGiveTheSameRows() throws Exception {
    List<CompletableFuture<List<String>>> runs = new ArrayList<>();
    for (String jvm : List.of("a", "a", "b")) {
      runs.add(CompletableFuture.supplyAsync(() -> run(GREEDY, jvm, rows(0, 5000))));
    }
    List<String> first = runs.get(0).get();
    assertEquals(5000, first.size());
    assertEquals(first, runs.get(1).get());
    assertEquals(first, runs.get(2).get());
    assertTrue(computed.size() <= 10_000, () -> "two JVMs computed " + computed.size() + " rows");
  }

  @Test
  void rowsThatWaitDoNotPileUp() {
    int count = 300_000;
    AtomicInteger drawn = new AtomicInteger();
    try (Partition partition =
        partition(
            GREEDY,
            "a",
            IntStream.range(0, count)
                .peek(i -> drawn.incrementAndGet())
                .mapToObj(i -> RowFactory.create(i, "the same")))) {
      partition.answers.next();
      assertTrue(drawn.get() < count / 2, () -> "drawn before the first was finished: " + drawn);
      assertEquals(count - 1, partition.rest().size());
      assertEquals(1, computed.size());
      long peak = partition.allocator.getPeakMemoryAllocation();
      assertTrue(peak < 96 << 20, () -> "peak of Arrow memory: " + peak);
    }
  }
}
