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
package dev.moontide.scheduler;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.api.FloatList;
import dev.moontide.api.GenerationRequest;
import dev.moontide.api.MoontideException;
import dev.moontide.api.Objective;
import dev.moontide.api.Outcome;
import dev.moontide.api.TokenIds;
import org.junit.jupiter.api.Test;

class ScoredSequenceTest {
  private static final TokenIds PROMPT = TokenIds.of(30, 31, 32, 33, 34);

  /** Scores {@link #PROMPT}, whose token i has the log-probability −i. */
  private static FloatList scores(Objective.Score score) {
    ScoredSequence sequence =
        new ScoredSequence(new GenerationRequest(0, PROMPT, score), answered -> {});
    for (int i = 1; i < PROMPT.length(); i++) {
      assertFalse(sequence.isAnswered());
      assertEquals(30 + i, sequence.target(i - 1));
      sequence.accept(-i);
    }
    assertTrue(sequence.isAnswered());
    return ((Outcome.Scores) sequence.answer()).tokenLogprobs();
  }

  @Test
  void theAnswerBeginsWithTheTokenThatIsAskedFor() {
    assertEquals(FloatList.of(-1, -2, -3, -4), scores(new Objective.Score()));
    assertEquals(FloatList.of(-1, -2, -3, -4), scores(new Objective.Score(1)));
    assertEquals(FloatList.of(-2, -3, -4), scores(new Objective.Score(2)));
    assertEquals(FloatList.of(-4), scores(new Objective.Score(4)));
    // After a prompt comes an empty continuation.
    assertEquals(FloatList.of(), scores(new Objective.Score(5)));
    assertThrows(MoontideException.class, () -> new Objective.Score(0));
  }
}
