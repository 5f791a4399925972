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
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.api.EngineOptions;
import dev.moontide.api.EngineOptions.Precision;
import dev.moontide.api.MoontideException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class SharedEnginesTest {
  private static final EngineOptions A = EngineOptions.of(Path.of("a"));
  private static final EngineOptions B = EngineOptions.of(Path.of("b"));

  private final ExecutorService tasks = Executors.newCachedThreadPool();
  private final List<Engine> made = new ArrayList<>();
  private final AtomicInteger loads = new AtomicInteger();

  private Engine make(EngineOptions options) {
    loads.incrementAndGet();
    FakeModel model = new FakeModel(Workload.VOCABULARY, 200, 100, 4, 16);
    Engine engine = new Engine(Workload.loaded(model), options);
    synchronized (made) {
      made.add(engine);
    }
    return engine;
  }

  @AfterEach
  void close() {
    tasks.shutdownNow();
    made.forEach(Engine::close);
  }

  @Test
  void concurrentCallersShareOneLoadAndOthersDoNotWait() throws Exception {
    CountDownLatch loading = new CountDownLatch(1);
    CountDownLatch go = new CountDownLatch(1);
    SharedEngines engines =
        new SharedEngines(
            options -> {
              if (options.equals(A)) {
                loading.countDown();
                await(go);
              }
              return make(options);
            });
    List<Future<Engine>> callers = new ArrayList<>();
    for (int i = 0; i < 5; i++) {
      callers.add(tasks.submit(() -> engines.get(EngineOptions.of(Path.of("a")))));
    }
    await(loading);
    Engine b = engines.get(B);
    go.countDown();
    Engine a = callers.get(0).get();
    for (Future<Engine> caller : callers) {
      assertSame(a, caller.get());
    }
    assertNotSame(a, b);
    assertEquals(2, loads.get());
  }

  @Test
  void aFailedLoadFailsForThoseWhoWaitedAndIsTriedAgain() throws Exception {
    CountDownLatch go = new CountDownLatch(1);
    MoontideException broken = MoontideException.checkpoint("tensor x is missing");
    AtomicInteger attempts = new AtomicInteger();
    SharedEngines engines =
        new SharedEngines(
            options -> {
              if (attempts.getAndIncrement() == 0) {
                await(go);
                throw broken;
              }
              return make(options);
            });
    Future<Engine> first = tasks.submit(() -> engines.get(A));
    while (attempts.get() == 0) {
      Thread.onSpinWait();
    }
    Thread second = new Thread(() -> assertFailure(engines, broken));
    AtomicInteger uncaught = new AtomicInteger();
    second.setUncaughtExceptionHandler((thread, e) -> uncaught.incrementAndGet());
    second.start();
    while (second.getState() != Thread.State.WAITING) {
      Thread.onSpinWait();
    }
    go.countDown();
    assertSame(broken, assertThrows(ExecutionException.class, first::get).getCause());
    second.join();
    assertEquals(0, uncaught.get());
    assertSame(engines.get(A), engines.get(A));
    assertEquals(2, attempts.get());
  }

  private static void assertFailure(SharedEngines engines, MoontideException cause) {
    MoontideException e = assertThrows(MoontideException.class, () -> engines.get(A));
    assertSame(cause, e.getCause());
    assertEquals(MoontideException.Category.CHECKPOINT, e.category());
    assertTrue(String.valueOf(e.getMessage()).contains("tensor x is missing"));
  }

  @Test
  void aClosedEngineIsReplaced() {
    SharedEngines engines = new SharedEngines(this::make);
    Engine first = engines.get(A);
    first.close();
    Engine second = engines.get(A);
    assertNotSame(first, second);
    assertSame(second, engines.get(A));
  }

  @Test
  void aModelHasOneEngineWhateverItsOptions() {
    SharedEngines engines = new SharedEngines(this::make);
    EngineOptions other = A.withBackend(EngineOptions.Backend.CPU).withPrecision(Precision.F32);
    Engine first = engines.get(A);
    ResultStream used = first.generate(List.of(new Workload(1, 9).next(0)).iterator());
    assertTrue(used.hasNext());
    MoontideException refusal = assertThrows(MoontideException.class, () -> engines.get(other));
    assertEquals(MoontideException.Category.CONFIGURATION, refusal.category());
    assertEquals(
        "the engine of a is in use in this JVM with other options, and a JVM has one engine of a"
            + " model: backend is cpu here, auto there; dtype is f32 here, auto there; give the"
            + " same, or run this when what uses the engine is done",
        refusal.getMessage());
    assertSame(first, engines.get(A));
    Engine onAnotherGpu = engines.get(A.withGpu(1));
    Engine ofAnotherModel = engines.get(B);

    used.next();
    assertFalse(used.hasNext());
    Engine second = engines.get(other);
    assertTrue(first.isClosed());
    ResultStream givenUp = second.generate(List.of(new Workload(1, 9).next(0)).iterator());
    assertTrue(givenUp.hasNext());
    givenUp.close();
    Engine third = engines.get(A);
    assertTrue(second.isClosed());
    assertEquals(Set.of(onAnotherGpu, ofAnotherModel, third), Set.copyOf(engines.loaded()));
  }

  private static void await(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }
}
