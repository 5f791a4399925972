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
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.api.DoubleList;
import dev.moontide.api.FinishReason;
import dev.moontide.api.FloatList;
import dev.moontide.api.Outcome;
import dev.moontide.api.TokenIds;
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class StoredResultTest {
  private static byte[] bytes(Outcome outcome) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    new StoredResult(131_072, outcome).write(new DataOutputStream(bytes));
    return bytes.toByteArray();
  }

  static Outcome[] outcomes() {
    double[] sparse = new double[150];
    sparse[0] = -0.0;
    sparse[17] = 0.75;
    sparse[149] = Double.MIN_VALUE;
    return new Outcome[] {
      new Outcome.Completion(TokenIds.of(), "", FinishReason.STOP, 1),
      new Outcome.Completion(
          TokenIds.of(0, 127, 128, 163_839), "Grüße \uD83C\uDF0A\n", FinishReason.LENGTH, 4),
      new Outcome.Scores(FloatList.of()),
      new Outcome.Scores(FloatList.of(-1.5f, -0.0f, Float.NEGATIVE_INFINITY, -1e-30f)),
      new Outcome.Choice(17, DoubleList.of(sparse), 3),
      new Outcome.Choice(0, DoubleList.of(1), 2),
      new Outcome.Choice(1, DoubleList.of(0.25, 0.75, 0), 2),
    };
  }

  @ParameterizedTest
  @MethodSource("outcomes")
  void whatIsReadIsWhatWasWritten(Outcome outcome) throws IOException {
    StoredResult read = StoredResult.read(bytes(outcome));
    assertEquals(new StoredResult(131_072, outcome), read);
    assertEquals(131_072, read.answer(5).promptTokens());
    assertEquals(131_072, read.answer(5).cachedTokens());
    assertEquals(5, read.answer(5).id());
  }

  @Test
  void choicesOfNoProbabilityTakeNoSpace() throws IOException {
    double[] probabilities = new double[10_000];
    probabilities[9_000] = 1;
    assertTrue(bytes(new Outcome.Choice(9_000, DoubleList.of(probabilities), 3)).length < 32);
  }

  @Test
  void aFailureIsNotStored() {
    assertThrows(IllegalArgumentException.class, () -> bytes(new Outcome.Failure("too long")));
  }
}
