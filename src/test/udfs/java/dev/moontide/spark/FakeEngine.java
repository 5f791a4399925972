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
import dev.moontide.api.Outcome;
import dev.moontide.engine.ResultStream;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Function;

/**
 * Answers requests out of order: it draws as many as it has room for, and finishes some of them at
 * a time, in an order that is random but always the same. A stream's requests end for good when
 * their iterator first says so, as they do in the engine.
 */
final class FakeEngine implements Function<Iterator<GenerationRequest>, ResultStream> {
  final AtomicInteger opened = new AtomicInteger();
  final AtomicInteger closed = new AtomicInteger();
  final AtomicInteger mostInFlight = new AtomicInteger();

  private final int room;
  private final Function<GenerationRequest, Outcome> answer;

  FakeEngine(int room, Function<GenerationRequest, Outcome> answer) {
    this.room = room;
    this.answer = answer;
  }

  @Override
  public ResultStream apply(Iterator<GenerationRequest> requests) {
    opened.incrementAndGet();
    Random random = new Random(7);
    return new ResultStream() {
      private final List<GenerationRequest> inFlight = new ArrayList<>();
      private boolean exhausted;
      private int ready;

      @Override
      public boolean hasNext() {
        while (!exhausted && inFlight.size() < room) {
          if (requests.hasNext()) {
            inFlight.add(requests.next());
          } else {
            exhausted = true;
          }
        }
        mostInFlight.accumulateAndGet(inFlight.size(), Math::max);
        if (ready == 0 && !inFlight.isEmpty()) {
          ready = 1 + random.nextInt(inFlight.size());
        }
        return ready > 0;
      }

      @Override
      public GenerationResult next() {
        if (!hasNext()) {
          throw new NoSuchElementException();
        }
        ready--;
        GenerationRequest request = inFlight.remove(random.nextInt(inFlight.size()));
        return new GenerationResult(
            request.id(), request.prompt().length(), 1, answer.apply(request));
      }

      @Override
      public boolean isReady() {
        return ready > 0;
      }

      @Override
      public void close() {
        closed.incrementAndGet();
      }
    };
  }
}
