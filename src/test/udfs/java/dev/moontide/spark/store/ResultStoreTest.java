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

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.api.FinishReason;
import dev.moontide.api.GenerationRequest;
import dev.moontide.api.GenerationResult;
import dev.moontide.api.MoontideException;
import dev.moontide.api.Objective;
import dev.moontide.api.Outcome;
import dev.moontide.api.SamplingParameters;
import dev.moontide.api.TokenIds;
import dev.moontide.spark.store.TaskResults.Standing;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ResultStoreTest {
  private static final SamplingParameters GREEDY = SamplingParameters.greedy(8);

  @TempDir Path folder;
  @TempDir Path spool;

  /** The store as another JVM sees it. */
  private ResultStore store() throws IOException {
    ResultStore store =
        new ResultStore(
            new SegmentFiles(folder.toUri().toString(), new Configuration()), SCOPE, spool);
    store.refresh();
    return store;
  }

  private static RequestKeys keys() {
    return new RequestKeys("model", 100);
  }

  private static final String SCOPE = keys().scopeName();

  private static TaskResults task(ResultStore store) {
    return store.task(keys(), () -> {});
  }

  private static GenerationRequest request(long id, int content) {
    return new GenerationRequest(
        id, TokenIds.of(content), new Objective.Sample(GREEDY, content, 0));
  }

  private static GenerationResult result(long id, int content) {
    return new GenerationResult(
        id,
        1,
        0,
        new Outcome.Completion(
            TokenIds.of(content, content), "answer " + content, FinishReason.STOP, 3));
  }

  /** Computes the requests of {@code contents}, which must all be new. */
  private static void compute(TaskResults task, int from, int to) {
    for (int i = from; i < to; i++) {
      assertInstanceOf(Standing.ToCompute.class, task.ask(request(i, i)), "row " + i);
      task.keep(result(i, i));
    }
  }

  private static void assertAnswered(TaskResults task, int from, int to) {
    for (int i = from; i < to; i++) {
      Standing.Answered answered =
          assertInstanceOf(Standing.Answered.class, task.ask(request(i + 1000L, i)), "row " + i);
      assertEquals(i + 1000L, answered.result().id());
      assertEquals(result(0, i).outcome(), answered.result().outcome());
    }
  }

  private List<Path> segments() throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.toList();
    }
  }

  private List<Path> awaitSegments(int count) throws Exception {
    long end = System.nanoTime() + 20_000_000_000L;
    while (segments().stream().filter(file -> file.toString().endsWith(".results")).count()
        < count) {
      assertTrue(System.nanoTime() < end, "no segment was written in 20 s");
      Thread.sleep(20);
    }
    return segments();
  }

  private void age(int days) throws IOException {
    for (Path segment : segments()) {
      Files.setLastModifiedTime(segment, FileTime.from(Instant.now().minus(Duration.ofDays(days))));
    }
  }

  private void compact() throws IOException {
    ResultStore.compact(folder.toUri().toString(), new Configuration());
  }

  @Test
  void whatNoJobUsesForThirtyDaysIsDropped() throws IOException {
    try (TaskResults task = task(store())) {
      compute(task, 0, 100);
    }
    age(20);
    compact();
    // A job in the second half of that time uses some of it, more than once.
    try (TaskResults task = task(store())) {
      assertAnswered(task, 10, 30);
      compute(task, 100, 110);
    }
    try (TaskResults task = task(store())) {
      assertAnswered(task, 10, 30);
    }
    assertEquals(2, segments().size(), "what was stored again is old no more");
    for (Path segment : segments()) {
      if (Files.getLastModifiedTime(segment)
          .toInstant()
          .isBefore(Instant.now().minusSeconds(9999))) {
        Files.setLastModifiedTime(segment, FileTime.from(Instant.now().minus(Duration.ofDays(31))));
      }
    }
    compact();
    assertEquals(1, segments().size());
    try (TaskResults task = task(store())) {
      assertAnswered(task, 10, 30);
      assertAnswered(task, 100, 110);
      compute(task, 0, 10);
      compute(task, 30, 100);
    }
  }

  @Test
  void whatATaskComputedAnotherJvmFinds() throws IOException {
    try (TaskResults task = task(store())) {
      compute(task, 0, 700);
      assertAnswered(task, 0, 700);
    }
    assertEquals(1, segments().size(), "one segment is left, and no temporary file");
    try (TaskResults other = task(store())) {
      assertAnswered(other, 0, 700);
      compute(other, 700, 710);
    }
    try (TaskResults another = store().task(new RequestKeys("other model", 100), () -> {})) {
      assertInstanceOf(Standing.ToCompute.class, another.ask(request(0, 0)));
    }
  }

  @Test
  void aRunningTaskStoresAfterSomeRowsOrSomeSeconds() throws Exception {
    ResultStore store = store();
    TaskResults task = task(store);
    long start = System.nanoTime();
    compute(task, 0, ResultStore.STORED_ROWS);
    awaitSegments(1);
    assertTrue(System.nanoTime() - start < ResultStore.STORED_MILLIS * 1_000_000);
    compute(task, 500, 501);
    awaitSegments(2);
    // Nothing is closed: the JVM was killed.
    try (TaskResults other = task(store())) {
      assertAnswered(other, 0, ResultStore.STORED_ROWS);
      assertAnswered(other, 500, 501);
    }
    store.close();
  }

  @Test
  void anEqualRequestWaitsForTheOneThatIsComputed() throws Exception {
    ResultStore store = store();
    try (TaskResults task = task(store);
        TaskResults other = task(store)) {
      task.ask(request(1, 5));
      assertInstanceOf(Standing.Awaited.class, task.ask(request(2, 5)));
      CompletableFuture<Standing> elsewhere =
          CompletableFuture.supplyAsync(() -> other.ask(request(3, 5)));
      assertInstanceOf(Standing.Awaited.class, elsewhere.get());
      // A thread that runs both tasks would wait for itself.
      assertInstanceOf(Standing.ToCompute.class, other.ask(request(4, 5)));
      assertNull(other.poll(1));
      assertTrue(task.isWaiting());

      task.keep(result(1, 5));
      for (TaskResults waiting : List.of(task, other)) {
        GenerationResult result = waiting.poll(1000);
        assertNotNull(result);
        assertEquals(waiting == task ? 2 : 3, result.id());
        assertEquals(result(0, 5).outcome(), result.outcome());
        assertEquals(result.promptTokens(), result.cachedTokens());
        assertFalse(waiting.isWaiting());
        assertEquals(0, waiting.waitingBytes());
      }
      assertAnswered(task, 5, 6);
    }
  }

  @Test
  void whoWaitedForATaskThatIsKilledComputes() throws Exception {
    ResultStore store = store();
    try (TaskResults other = task(store)) {
      TaskResults task = task(store);
      task.ask(request(1, 5));
      CompletableFuture.runAsync(() -> other.ask(request(2, 5))).get();
      task.close();
      assertNull(other.poll(1000));
      assertFalse(other.isWaiting());
      GenerationRequest back = other.takeBack();
      assertNotNull(back);
      assertEquals(2, back.id());
      assertInstanceOf(Standing.ToCompute.class, other.ask(back));
    }
  }

  @Test
  void failuresAreToldButNotStored() throws IOException {
    try (TaskResults task = task(store())) {
      task.ask(request(1, 5));
      task.ask(request(2, 5));
      task.keep(new GenerationResult(1, 1, 0, new Outcome.Failure("too long")));
      GenerationResult failed = task.poll(0);
      assertNotNull(failed);
      assertEquals(new Outcome.Failure("too long"), failed.outcome());
      assertInstanceOf(Standing.ToCompute.class, task.ask(request(3, 5)));
    }
    assertEquals(List.of(), segments());
  }

  @Test
  void smallSegmentsAreMerged() throws Exception {
    for (int task = 0; task < 5; task++) {
      try (TaskResults results = task(store())) {
        compute(results, 10 * task, 10 * task + 10);
      }
    }
    assertEquals(5, segments().size());
    ResultStore before = store();
    ResultStore.compact(folder.toString(), new Configuration());
    assertEquals(1, segments().size());
    for (ResultStore store : List.of(before, store())) {
      store.refresh();
      try (TaskResults task = task(store)) {
        assertAnswered(task, 0, 50);
      }
    }
  }

  @Test
  void aTornSegmentIsPassedOver() throws IOException {
    try (TaskResults task = task(store())) {
      compute(task, 0, 10);
    }
    Path torn = segments().get(0);
    byte[] bytes = Files.readAllBytes(torn);
    Files.write(torn, Arrays.copyOf(bytes, bytes.length - 1));
    try (TaskResults task = task(store())) {
      compute(task, 0, 10);
    }
    try (TaskResults task = task(store())) {
      assertAnswered(task, 0, 10);
    }
  }

  @Test
  void whereNothingCanBeStoredTheTaskFails() throws IOException {
    ResultStore store = store();
    TaskResults task = task(store);
    compute(task, 0, 10);
    Files.delete(folder);
    Files.writeString(folder, "a file in the folder's place");
    MoontideException error = assertThrows(MoontideException.class, task::close);
    assertEquals(MoontideException.Category.ENGINE, error.category());
    assertTrue(String.valueOf(error.getMessage()).contains(folder.toString()), error.getMessage());
    Files.delete(folder);
    Files.createDirectory(folder);
  }
}
