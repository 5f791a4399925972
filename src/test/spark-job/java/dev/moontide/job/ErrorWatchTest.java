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
package dev.moontide.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.api.MoontideException;
import dev.moontide.spark.JobMetrics;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.spark.api.java.function.ForeachFunction;
import org.junit.jupiter.api.Test;

class ErrorWatchTest extends LocalSession {
  private static final long serialVersionUID = 1L;

  /** In local mode tasks run in this JVM. */
  private static final AtomicInteger DONE = new AtomicInteger();

  private static JobMetrics.Snapshot counts(long rows, long errors) {
    return new JobMetrics.Snapshot(
        rows, errors, 0, 0, 0, 0, 0, 0, 0, 0, Map.of("a", 1L, "b", errors - 1), Map.of(), 0, 0);
  }

  @Test
  void aJobIsEndedWhileItRuns() {
    DONE.set(0);
    ErrorWatch watch =
        new ErrorWatch(
            session().sparkContext(), ErrorLimit.parse("3"), () -> counts(DONE.get(), DONE.get()));
    MoontideException error =
        assertThrows(
            MoontideException.class,
            () ->
                watch.over(
                    () ->
                        session()
                            .range(0, 500, 1, 500)
                            .foreach(
                                (ForeachFunction<Long>)
                                    id -> {
                                      Thread.sleep(100);
                                      DONE.incrementAndGet();
                                    })));
    assertTrue(DONE.get() < 250);
    String message = String.valueOf(error.getMessage());
    assertTrue(message.contains(" rows failed, more than --max-errors 3: "));
  }

  @Test
  void aPartIsTakenOfManyRows() {
    ErrorLimit one = ErrorLimit.parse("1%");
    assertFalse(one.isExceededSoFar(counts(999, 500))); // too few rows to tell
    assertTrue(one.isExceededSoFar(counts(1000, 11)));
    assertFalse(one.isExceededSoFar(counts(1000, 10)));
    assertTrue(one.isExceeded(counts(10, 1)));
    assertFalse(ErrorLimit.parse("0").isExceededSoFar(counts(5, 0)));
    assertTrue(ErrorLimit.parse("0").isExceededSoFar(counts(5, 1)));
    assertEquals(
        "1,001 of 2,000 rows failed, more than --max-errors 1%: 1,000 × b; 1 × a",
        one.message(counts(2000, 1001)));
    for (String wrong : new String[] {"-1", "1.5", "101%", "%", "x", ""}) {
      assertThrows(MoontideException.class, () -> ErrorLimit.parse(wrong), wrong);
    }
  }
}
