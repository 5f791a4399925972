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
package dev.moontide.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.concurrent.atomic.AtomicIntegerArray;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class WorkersTest {
  @Test
  void everyTaskRunsOnce() {
    for (int threads = 1; threads <= 5; threads++) {
      try (Workers workers = new Workers(threads)) {
        for (int round = 0; round < 3000; round++) {
          int tasks = round % 13;
          AtomicIntegerArray runs = new AtomicIntegerArray(13);
          workers.run(tasks, (task, worker) -> runs.incrementAndGet(task));
          for (int task = 0; task < 13; task++) {
            assertEquals(task < tasks ? 1 : 0, runs.get(task), "task " + task + " of " + tasks);
          }
        }
      }
    }
  }

  /** No two tasks that run at once are given the same buffers. */
  @Test
  void workersHaveIndicesOfTheirOwn() {
    try (Workers workers = new Workers(3)) {
      AtomicIntegerArray busy = new AtomicIntegerArray(3);
      for (int round = 0; round < 500; round++) {
        workers.run(
            9,
            (task, worker) -> {
              assertEquals(1, busy.incrementAndGet(worker));
              Thread.onSpinWait();
              busy.decrementAndGet(worker);
            });
      }
    }
  }

  @Test
  void anExceptionReachesTheCaller() {
    try (Workers workers = new Workers(3)) {
      IllegalStateException thrown = new IllegalStateException("task 5");
      Workers.Body body =
          (task, worker) -> {
            if (task == 5) {
              throw thrown;
            }
          };
      assertSame(thrown, assertThrows(IllegalStateException.class, () -> workers.run(20, body)));
      int[] sum = new int[20];
      workers.run(20, (task, worker) -> sum[task] = 1);
      assertEquals(20, Arrays.stream(sum).sum(), "the next run is unharmed");
    }
  }

  @Test
  void parkedThreadsWakeUp() throws InterruptedException {
    try (Workers workers = new Workers(3)) {
      for (int round = 0; round < 5; round++) {
        Thread.sleep(20);
        int[] sum = new int[50];
        workers.run(50, (task, worker) -> sum[task] = 1);
        assertEquals(50, Arrays.stream(sum).sum());
      }
    }
  }

  @Test
  void closingEndsTheThreads() {
    new Workers(4).close();
    assertTrue(
        Thread.getAllStackTraces().keySet().stream()
            .noneMatch(thread -> thread.getName().equals("moontide-cpu-3") && thread.isAlive()));
  }
}
