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
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.api.GenerationRequest;
import dev.moontide.api.GenerationResult;
import dev.moontide.api.Objective;
import dev.moontide.api.Outcome;
import dev.moontide.api.SamplingParameters;
import dev.moontide.api.TokenIds;
import dev.moontide.scheduler.Scheduler;
import dev.moontide.scheduler.Sequence;
import dev.moontide.tensor.Step;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** Scheduler, sequences, blocks and prefix cache against one-at-a-time computation. */
class SchedulingTest {
  private static final int MAX_LENGTH = 60;

  /** The engine's loop without its thread, checking everything after every step. */
  private static final class Loop {
    final FakeModel model;
    final Scheduler scheduler;
    final RequestReader reader;
    final LogitReader logits;
    final Map<Long, GenerationResult> results = new HashMap<>();
    final Consumer<Sequence> sink = s -> results.put(s.request().id(), s.result());

    Loop(FakeModel model, int maxBatchTokens, int maxSequences, boolean prefixCache) {
      this.model = model;
      scheduler =
          new Scheduler(
              maxBatchTokens, maxSequences, model.cacheBlocks(), model.blockSize(), prefixCache);
      reader = new RequestReader(Workload.loaded(model), MAX_LENGTH);
      logits = new LogitReader(model);
    }

    void add(GenerationRequest request, Consumer<Sequence> to) {
      Sequence sequence = reader.read(request, to);
      if (sequence.isFinished()) {
        to.accept(sequence);
      } else {
        scheduler.add(sequence);
      }
    }

    GenerationResult result(long id) {
      return Objects.requireNonNull(results.get(id));
    }

    void step() {
      Step step = scheduler.schedule();
      model.forward(step);
      logits.read(step, scheduler.scheduled());
      scheduler.commit().forEach(s -> s.sink().accept(s));
      scheduler.checkIntegrity();
      for (int block = 0; block < model.cacheBlocks(); block++) {
        if (scheduler.isFree(block)) {
          model.poison(block);
        }
      }
    }

    void finish() {
      while (scheduler.hasWork()) {
        step();
      }
      scheduler.checkIntegrity();
    }
  }

  static void check(
      FakeModel model, Straightforward oracle, GenerationRequest request, GenerationResult result) {
    assertEquals(request.prompt().length(), result.promptTokens());
    Outcome expected = oracle.answer(request);
    Outcome actual = result.outcome();
    if (expected instanceof Outcome.Failure) {
      assertTrue(((Outcome.Failure) actual).message().contains("NaN"), actual::toString);
    } else if (request.objective() instanceof Objective.Choose choose && choose.tolerance() > 0) {
      checkTolerance((Outcome.Choice) expected, (Outcome.Choice) actual, choose.tolerance());
      assertEquals(alone(model, request).outcome(), actual);
    } else {
      assertEquals(expected, actual);
    }
  }

  /** Choices keep their share or have 0, those with 0 together no more than the tolerance. */
  private static void checkTolerance(
      Outcome.Choice exact, Outcome.Choice actual, double tolerance) {
    double dropped = 0;
    for (int i = 0; i < exact.probabilities().size(); i++) {
      double p = exact.probabilities().get(i);
      if (actual.probabilities().get(i) == 0) {
        dropped += p;
      }
    }
    assertTrue(dropped <= tolerance, "dropped " + dropped + ", tolerance " + tolerance);
    double sum = 0;
    for (int i = 0; i < exact.probabilities().size(); i++) {
      double q = actual.probabilities().get(i);
      sum += q;
      if (q > 0) {
        assertEquals(exact.probabilities().get(i) / (1 - dropped), q, 1e-12);
      }
    }
    assertEquals(1, sum, 1e-12);
    assertEquals(exact.best(), actual.best());
  }

  private static GenerationResult alone(FakeModel model, GenerationRequest request) {
    FakeModel other =
        new FakeModel(model.vocabularySize(), model.maxPositions(), 100, model.blockSize(), 3);
    Loop loop = new Loop(other, 1000, 1, false);
    loop.add(request, loop.sink);
    loop.finish();
    return loop.result(request.id());
  }

  @Test
  void randomWorkloadsEqualOneAtATime() {
    long preemptions = 0;
    long cached = 0;
    for (int seed = 0; seed < 600; seed++) {
      Random random = new Random(seed);
      Workload workload = new Workload(seed, 2 + random.nextInt(25));
      int blockSize = random.nextInt(3) == 0 ? 8 : 1 + random.nextInt(5);
      // Room for the longest sequence, prompt and output or prompt and trie, and little more.
      int blocks = MAX_LENGTH / blockSize + 1 + random.nextInt(4);
      FakeModel model =
          new FakeModel(Workload.VOCABULARY, 200, blocks, blockSize, 1 + random.nextInt(20));
      Loop loop =
          new Loop(model, 1 + random.nextInt(60), 1 + random.nextInt(12), random.nextInt(4) > 0);
      Consumer<Sequence> impatient = s -> {};
      Map<Long, GenerationRequest> requests = new HashMap<>();
      for (long id = 0; id < 30; id++) {
        GenerationRequest request = workload.next(id);
        if (random.nextInt(10) == 0) {
          loop.add(request, impatient);
        } else {
          requests.put(id, request);
          loop.add(request, loop.sink);
        }
        if (random.nextInt(20) == 0) {
          loop.scheduler.drop(impatient);
          loop.scheduler.checkIntegrity();
        }
        while (loop.scheduler.hasWork() && random.nextInt(3) == 0) {
          loop.step();
        }
      }
      loop.finish();
      assertEquals(requests.keySet(), loop.results.keySet());
      Straightforward oracle = new Straightforward(model, MAX_LENGTH, Workload.STOP);
      requests.forEach((id, request) -> check(model, oracle, request, loop.result(id)));
      preemptions += loop.scheduler.preemptions();
      cached += loop.results.values().stream().mapToLong(GenerationResult::cachedTokens).sum();
    }
    assertTrue(preemptions > 400, "preemptions " + preemptions);
    assertTrue(cached > 1000, "cached " + cached);
  }

  private static GenerationRequest greedy(long id, int maxTokens, int... prompt) {
    return new GenerationRequest(
        id,
        TokenIds.of(prompt),
        new Objective.Sample(
            SamplingParameters.builder().maxTokens(maxTokens).ignoreEos(true).build(), id, 0));
  }

  private static int[] prompt(int shared, int own, int seed) {
    int[] prompt = new int[shared + own];
    for (int i = 0; i < prompt.length; i++) {
      prompt[i] = 2 + (i < shared ? i * 7 : (i + 3) * (seed + 5)) % (Workload.VOCABULARY - 2);
    }
    return prompt;
  }

  @Test
  void equalBeginningsThatArriveTogetherAreComputedOnce() {
    FakeModel model = new FakeModel(Workload.VOCABULARY, 200, 500, 4, 64);
    Loop loop = new Loop(model, 1000, 50, true);
    for (int id = 0; id < 30; id++) {
      loop.add(greedy(id, 1, prompt(22, 3, id)), loop.sink);
    }
    loop.finish();
    // 22 shared tokens fill five blocks of 4; everyone computes what is left, 25 - 20.
    assertEquals(25 + 29 * 5, model.tokens);
    assertEquals(2, model.steps);
    assertEquals(0, loop.result(0).cachedTokens());
    assertEquals(20, loop.result(29).cachedTokens());
  }

  @Test
  void aBeginningWithinABlockIsComputedOnce() {
    FakeModel model = new FakeModel(Workload.VOCABULARY, 200, 500, 16, 64);
    Loop loop = new Loop(model, 1000, 50, true);
    for (int id = 0; id < 30; id++) {
      loop.add(greedy(id, 3, prompt(30, 5, id)), loop.sink);
    }
    loop.finish();
    // Of 30 shared tokens a block of 16 and three units of 4 of the next.
    assertEquals(35 + 29 * (35 - 28) + 30 * 2, model.tokens);
    assertEquals(28, loop.result(29).cachedTokens());
    Straightforward oracle = new Straightforward(model, MAX_LENGTH, Workload.STOP);
    for (int id = 0; id < 30; id++) {
      assertEquals(oracle.answer(greedy(id, 3, prompt(30, 5, id))), loop.result(id).outcome());
    }
  }

  @Test
  void aBeginningLongerThanAStepIsComputedOnce() {
    FakeModel model = new FakeModel(Workload.VOCABULARY, 200, 500, 4, 64);
    Loop loop = new Loop(model, 17, 50, true);
    for (int id = 0; id < 10; id++) {
      loop.add(greedy(id, 1, prompt(40, 1, id)), loop.sink);
    }
    loop.finish();
    assertEquals(41 + 9, model.tokens);
  }

  @Test
  void identicalPromptsComputeTheirLastTokenThemselves() {
    FakeModel model = new FakeModel(Workload.VOCABULARY, 200, 500, 4, 64);
    Loop loop = new Loop(model, 1000, 50, true);
    for (int id = 0; id < 5; id++) {
      loop.add(greedy(id, 1, prompt(24, 0, 0)), loop.sink);
    }
    loop.finish();
    assertEquals(24 + 4 * 4, model.tokens);
  }

  @Test
  void withoutPrefixCacheNothingIsShared() {
    FakeModel model = new FakeModel(Workload.VOCABULARY, 200, 500, 4, 64);
    Loop loop = new Loop(model, 1000, 50, false);
    for (int id = 0; id < 5; id++) {
      loop.add(greedy(id, 1, prompt(24, 0, 0)), loop.sink);
    }
    loop.finish();
    assertEquals(5 * 24, model.tokens);
  }

  @Test
  void cachedBlocksMakeRoomForOthersLeastRecentlyUsedFirst() {
    FakeModel model = new FakeModel(Workload.VOCABULARY, 200, 12, 4, 64);
    Loop loop = new Loop(model, 1000, 50, true);
    for (int id : new int[] {0, 1, 0, 2}) {
      loop.add(greedy(id, 1, prompt(0, 17, id)), loop.sink);
      loop.finish();
    }
    // 12 blocks: after prompts 0, 1, 0 both have 4 cached; prompt 2 needs 5 and evicts one of 1's.
    loop.add(greedy(10, 1, prompt(0, 17, 0)), loop.sink);
    loop.finish();
    assertEquals(16, loop.result(10).cachedTokens());
    loop.add(greedy(11, 1, prompt(0, 17, 1)), loop.sink);
    loop.finish();
    assertEquals(12, loop.result(11).cachedTokens());
  }

  @Test
  void promptChunksAndDecodeTokensShareSteps() {
    FakeModel model = new FakeModel(Workload.VOCABULARY, 200, 500, 4, 64);
    Loop loop = new Loop(model, 20, 50, true);
    loop.add(greedy(0, 10, prompt(0, 10, 0)), loop.sink);
    loop.step();
    loop.add(greedy(1, 1, prompt(0, 50, 1)), loop.sink);
    List<Integer> sizes = new ArrayList<>();
    while (loop.scheduler.hasWork()) {
      long before = model.tokens;
      loop.step();
      sizes.add((int) (model.tokens - before));
    }
    assertEquals(List.of(20, 20, 13, 1, 1, 1, 1, 1, 1), sizes);
  }

  @Test
  void theLatestArrivalIsPreemptedAndComputedAgain() {
    FakeModel model = new FakeModel(Workload.VOCABULARY, 200, 20, 1, 64);
    Loop loop = new Loop(model, 100, 50, true);
    loop.add(greedy(0, 10, prompt(0, 8, 0)), loop.sink);
    loop.add(greedy(1, 10, prompt(0, 8, 1)), loop.sink);
    loop.finish();
    assertEquals(1, loop.scheduler.preemptions());
    Straightforward oracle = new Straightforward(model, MAX_LENGTH, Workload.STOP);
    assertEquals(oracle.answer(greedy(1, 10, prompt(0, 8, 1))), loop.result(1).outcome());
  }

  @Test
  void aScoreWantsItsLogitsAndTakesNothingFromTheCache() {
    FakeModel model = new FakeModel(Workload.VOCABULARY, 200, 500, 4, 3);
    Loop loop = new Loop(model, 1000, 50, true);
    TokenIds prompt = TokenIds.of(prompt(0, 24, 0));
    loop.add(greedy(0, 1, prompt.toArray()), loop.sink);
    loop.finish();
    loop.add(new GenerationRequest(1, prompt, new Objective.Score()), loop.sink);
    loop.finish();
    assertEquals(24 + 23, model.tokens);
    assertEquals(0, loop.result(1).cachedTokens());
    assertInstanceOf(Outcome.Scores.class, loop.result(1).outcome());
  }

  @Test
  void hundredsOfSequencesFillTheStep() {
    FakeModel model = new FakeModel(Workload.VOCABULARY, 200, 4000, 4, 64);
    Loop loop = new Loop(model, 500, 200, true);
    IntStream.range(0, 300).forEach(i -> loop.add(greedy(i, 1, prompt(0, 10, i)), loop.sink));
    loop.finish();
    assertTrue(model.steps <= 8, "steps " + model.steps);
    assertFalse(loop.scheduler.hasWork());
  }
}
