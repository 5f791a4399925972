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

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.api.ChoiceSet;
import dev.moontide.api.EngineOptions;
import dev.moontide.api.FinishReason;
import dev.moontide.api.FloatList;
import dev.moontide.api.GenerationRequest;
import dev.moontide.api.GenerationResult;
import dev.moontide.api.MoontideException;
import dev.moontide.api.Objective;
import dev.moontide.api.Outcome;
import dev.moontide.api.SamplingParameters;
import dev.moontide.api.TokenIds;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.LongStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class EngineTest {
  private static final int MAX_LENGTH = 60;

  private final FakeModel model = new FakeModel(Workload.VOCABULARY, 200, 100, 4, 16);
  private final Engine engine = new Engine(Workload.loaded(model), options(8));
  private final ExecutorService tasks = Executors.newCachedThreadPool();

  private static EngineOptions options(int maxSequences) {
    return new EngineOptions(
        Path.of("model"),
        EngineOptions.Backend.CPU,
        EngineOptions.Precision.F32,
        64,
        maxSequences,
        0,
        MAX_LENGTH,
        1,
        true);
  }

  @AfterEach
  void close() {
    tasks.shutdownNow();
    engine.close();
  }

  private static GenerationRequest sample(long id, SamplingParameters parameters, int... prompt) {
    return new GenerationRequest(id, TokenIds.of(prompt), new Objective.Sample(parameters, id, 0));
  }

  private static GenerationRequest greedy(long id, int maxTokens) {
    return sample(
        id,
        SamplingParameters.builder().maxTokens(maxTokens).ignoreEos(true).build(),
        2,
        3,
        4 + (int) (id % 30));
  }

  private static Iterator<GenerationRequest> endless(AtomicInteger drawn) {
    return LongStream.iterate(0, i -> i + 1)
        .mapToObj(
            i -> {
              drawn.incrementAndGet();
              return greedy(i, 3);
            })
        .iterator();
  }

  private Outcome one(GenerationRequest request) {
    try (ResultStream stream = engine.generate(List.of(request).iterator())) {
      GenerationResult result = stream.next();
      assertEquals(request.id(), result.id());
      assertFalse(stream.hasNext());
      return result.outcome();
    }
  }

  private String failure(GenerationRequest request) {
    return assertInstanceOf(Outcome.Failure.class, one(request)).message();
  }

  private static MoontideException assertEngineFailure(ResultStream stream) {
    MoontideException e = assertThrows(MoontideException.class, stream::hasNext);
    assertEquals(MoontideException.Category.ENGINE, e.category());
    return e;
  }

  @Test
  void concurrentCallersGetTheirOwnRowsOnce() throws Exception {
    Straightforward oracle = new Straightforward(model, MAX_LENGTH, Workload.STOP);
    List<Future<Integer>> callers = new ArrayList<>();
    for (int caller = 0; caller < 6; caller++) {
      Workload workload = new Workload(caller, 20);
      boolean stopsEarly = caller == 3;
      callers.add(
          tasks.submit(
              () -> {
                Map<Long, GenerationRequest> open = new HashMap<>();
                Iterator<GenerationRequest> requests =
                    LongStream.range(0, 120)
                        .mapToObj(workload::next)
                        .peek(request -> open.put(request.id(), request))
                        .iterator();
                int answered = 0;
                try (ResultStream stream = engine.generate(requests)) {
                  while (!(stopsEarly && answered == 20) && stream.hasNext()) {
                    GenerationResult result = stream.next();
                    GenerationRequest request = open.remove(result.id());
                    SchedulingTest.check(model, oracle, request, result);
                    answered++;
                  }
                }
                return answered;
              }));
    }
    for (int caller = 0; caller < callers.size(); caller++) {
      assertEquals(caller == 3 ? 20 : 120, callers.get(caller).get());
    }
  }

  @Test
  void statisticsAddUp() {
    List<GenerationRequest> requests = LongStream.range(0, 20).mapToObj(i -> greedy(i, 5)).toList();
    try (ResultStream stream = engine.generate(requests.iterator())) {
      stream.forEachRemaining(
          result -> assertInstanceOf(Outcome.Completion.class, result.outcome()));
    }
    EngineStatistics statistics = engine.statistics();
    assertEquals(60, statistics.promptTokens());
    assertEquals(100, statistics.completionTokens());
    assertEquals(0, statistics.cachedTokens());
    assertEquals(model.steps, statistics.steps());
    assertEquals("fake", statistics.device());
    assertEquals(1.5, statistics.loadSeconds());
    assertEquals(7, statistics.loadedBytes());
    assertTrue(statistics.prefillSeconds() > 0 && statistics.decodeSeconds() > 0);
  }

  @Test
  void aCallerThatDoesNotTakeResultsDrawsNoMore() {
    AtomicInteger drawn = new AtomicInteger();
    try (ResultStream stream = engine.generate(endless(drawn))) {
      assertTrue(stream.hasNext());
      // Twice maxSequences; hasNext draws while there is room and nothing is taken.
      assertEquals(16, drawn.get());
      assertTrue(stream.hasNext());
      assertEquals(16, drawn.get());
      stream.next();
      assertTrue(stream.hasNext());
      assertEquals(17, drawn.get());
    }
  }

  @Test
  void callersShareTheRoom() {
    AtomicInteger first = new AtomicInteger();
    AtomicInteger second = new AtomicInteger();
    try (ResultStream a = engine.generate(endless(first));
        ResultStream b = engine.generate(endless(second))) {
      assertTrue(a.hasNext());
      assertTrue(b.hasNext());
      assertEquals(16, first.get());
      assertEquals(8, second.get());
      for (int i = 0; i < 100; i++) {
        b.next();
      }
      assertTrue(second.get() >= 100, "a caller that takes nothing holds up nobody");
      assertEquals(16, first.get());
    }
  }

  @Test
  void closingAStreamDropsItsRowsAndWakesItsReader() throws Exception {
    CountDownLatch running = new CountDownLatch(1);
    CountDownLatch go = new CountDownLatch(1);
    model.beforeForward =
        () -> {
          running.countDown();
          await(go);
        };
    ResultStream stream = engine.generate(List.of(greedy(0, 40)).iterator());
    Future<MoontideException> reader = tasks.submit(() -> assertEngineFailure(stream));
    await(running);
    stream.close();
    assertTrue(String.valueOf(reader.get().getMessage()).contains("closed"));
    go.countDown();
    long steps = model.steps;
    assertInstanceOf(Outcome.Completion.class, one(greedy(1, 2)));
    assertTrue(model.steps <= steps + 4, "the dropped row was not computed on");
    assertEngineFailure(stream);
  }

  @Test
  void anInterruptDropsTheCallersRows() throws Exception {
    CountDownLatch running = new CountDownLatch(1);
    CountDownLatch go = new CountDownLatch(1);
    model.beforeForward =
        () -> {
          running.countDown();
          await(go);
        };
    ResultStream stream = engine.generate(List.of(greedy(0, 40)).iterator());
    CountDownLatch interrupted = new CountDownLatch(1);
    Thread reader =
        new Thread(
            () -> {
              MoontideException e = assertEngineFailure(stream);
              if (e.getCause() instanceof InterruptedException
                  && Thread.currentThread().isInterrupted()) {
                interrupted.countDown();
              }
            });
    reader.start();
    await(running);
    reader.interrupt();
    assertTrue(interrupted.await(20, TimeUnit.SECONDS));
    go.countDown();
    assertInstanceOf(Outcome.Completion.class, one(greedy(1, 2)));
  }

  @Test
  void whatACallersIteratorThrowsIsTheCallers() throws Exception {
    Future<Integer> other =
        tasks.submit(
            () -> {
              int n = 0;
              try (ResultStream stream =
                  engine.generate(
                      LongStream.range(0, 200).mapToObj(i -> greedy(i, 5)).iterator())) {
                while (stream.hasNext()) {
                  stream.next();
                  n++;
                }
              }
              return n;
            });
    IllegalArgumentException mine = new IllegalArgumentException("mine");
    Iterator<GenerationRequest> broken =
        LongStream.range(0, 10)
            .mapToObj(
                i -> {
                  if (i == 3) {
                    throw mine;
                  }
                  return greedy(i, 5);
                })
            .iterator();
    ResultStream stream = engine.generate(broken);
    assertSame(
        mine,
        assertThrows(
            IllegalArgumentException.class,
            () -> {
              while (stream.hasNext()) {
                stream.next();
              }
            }));
    assertEngineFailure(stream);
    assertEquals(200, other.get());
  }

  @Test
  void aFailingModelFailsEveryoneWithItsCause() throws Exception {
    StackOverflowError cause = new StackOverflowError("device lost");
    model.beforeForward =
        () -> {
          if (model.steps == 20) {
            throw cause;
          }
        };
    List<Future<MoontideException>> callers = new ArrayList<>();
    List<ResultStream> streams = new ArrayList<>();
    for (int i = 0; i < 3; i++) {
      streams.add(engine.generate(endless(new AtomicInteger())));
    }
    for (ResultStream stream : streams) {
      callers.add(
          tasks.submit(
              () -> {
                return assertThrows(
                    MoontideException.class,
                    () -> {
                      while (stream.hasNext()) {
                        stream.next();
                      }
                    });
              }));
    }
    for (Future<MoontideException> caller : callers) {
      MoontideException e = caller.get();
      assertEquals(MoontideException.Category.ENGINE, e.category());
      assertSame(cause, e.getCause());
    }
    assertThrows(
        MoontideException.class, () -> engine.generate(List.<GenerationRequest>of().iterator()));
  }

  @Test
  void closingTheEngineFailsOpenStreams() throws Exception {
    CountDownLatch running = new CountDownLatch(1);
    CountDownLatch go = new CountDownLatch(1);
    model.beforeForward =
        () -> {
          running.countDown();
          await(go);
        };
    ResultStream stream = engine.generate(List.of(greedy(0, 40)).iterator());
    Future<MoontideException> reader = tasks.submit(() -> assertEngineFailure(stream));
    await(running);
    Future<?> closing = tasks.submit(engine::close);
    assertTrue(String.valueOf(reader.get().getMessage()).contains("the engine was closed"));
    assertFalse(model.closed, "the model is closed only after its step");
    go.countDown();
    closing.get();
    assertTrue(model.closed);
    assertThrows(
        MoontideException.class, () -> engine.generate(List.<GenerationRequest>of().iterator()));
  }

  @Test
  void anEmptyStreamEnds() {
    try (ResultStream stream = engine.generate(List.<GenerationRequest>of().iterator())) {
      assertFalse(stream.hasNext());
      assertThrows(NoSuchElementException.class, stream::next);
    }
  }

  @Test
  void rowsThatCannotBeComputedSayWhy() {
    SamplingParameters parameters = SamplingParameters.greedy(5);
    assertTrue(failure(sample(1, parameters)).contains("the prompt is empty"));
    assertTrue(
        failure(sample(1, parameters, 2, 40))
            .contains("prompt: token id 40 at index 1: the vocabulary has ids 0 to 39"));
    assertTrue(failure(sample(1, parameters, -1)).contains("token id -1 at index 0"));
    String tooLong = failure(sample(1, parameters, new int[MAX_LENGTH]));
    assertTrue(
        tooLong.contains("60 tokens") && tooLong.contains("--on-long-prompt"), () -> tooLong);
    ChoiceSet choices =
        new ChoiceSet(List.of("yes", "no"), List.of(TokenIds.of(5, 3), TokenIds.of(99)));
    assertTrue(
        failure(new GenerationRequest(2, TokenIds.of(2), new Objective.Choose(choices, 0)))
            .contains("choice \"no\": token id 99 at index 0"));
    assertTrue(failure(sample(1, parameters, 5, FakeModel.POISON)).contains("NaN"));
    assertTrue(
        failure(sample(1, SamplingParameters.builder().temperature(1).build(), 5, FakeModel.POISON))
            .contains("NaN"));
  }

  @Test
  void aRowThatNeverFitsTheCacheSaysWhatItNeeds() {
    FakeModel small = new FakeModel(Workload.VOCABULARY, 200, 5, 4, 16);
    try (Engine narrow = new Engine(Workload.loaded(small), options(8));
        ResultStream stream =
            narrow.generate(List.of(greedy(0, 17), greedy(1, 18), greedy(2, 19)).iterator())) {
      Map<Long, Outcome> outcomes = new HashMap<>();
      stream.forEachRemaining(result -> outcomes.put(result.id(), result.outcome()));
      assertInstanceOf(Outcome.Completion.class, outcomes.get(0L));
      assertInstanceOf(Outcome.Completion.class, outcomes.get(1L));
      String message = assertInstanceOf(Outcome.Failure.class, outcomes.get(2L)).message();
      assertTrue(message.contains("up to 21 entries") && message.contains("has 20"), message);
    }
  }

  @Test
  void stopStringsNeedATokenizer() {
    LoadedModel silent = new LoadedModel(model, null, Workload.STOP, Workload.DEVICE, 0, 0);
    try (Engine mute = new Engine(silent, options(8));
        ResultStream stream =
            mute.generate(
                List.of(
                        sample(0, SamplingParameters.builder().stop(List.of("x")).build(), 2),
                        greedy(1, 3))
                    .iterator())) {
      Map<Long, Outcome> outcomes = new HashMap<>();
      stream.forEachRemaining(result -> outcomes.put(result.id(), result.outcome()));
      assertTrue(
          assertInstanceOf(Outcome.Failure.class, outcomes.get(0L))
              .message()
              .contains("tokenizer"));
      assertEquals("", assertInstanceOf(Outcome.Completion.class, outcomes.get(1L)).text());
    }
  }

  @Test
  void outputIsCutToTheLongestLength() {
    Outcome.Completion completion =
        (Outcome.Completion)
            one(
                sample(
                    0,
                    SamplingParameters.builder().maxTokens(100).ignoreEos(true).build(),
                    new int[MAX_LENGTH - 7]));
    assertEquals(7, completion.completionTokens());
    assertEquals(7, completion.tokens().length());
    assertEquals(FinishReason.LENGTH, completion.finishReason());
  }

  @Test
  void aScoreOfOneTokenIsEmpty() {
    assertEquals(
        new Outcome.Scores(FloatList.of()),
        one(new GenerationRequest(0, TokenIds.of(2), new Objective.Score())));
  }

  private static void await(CountDownLatch latch) {
    try {
      assertTrue(latch.await(20, TimeUnit.SECONDS));
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }
}
