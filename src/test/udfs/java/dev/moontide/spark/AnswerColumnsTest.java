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

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.api.ChoiceSet;
import dev.moontide.api.DoubleList;
import dev.moontide.api.FloatList;
import dev.moontide.api.GenerationResult;
import dev.moontide.api.Outcome;
import dev.moontide.api.TokenIds;
import dev.moontide.spark.JobOptions.Task;
import java.util.List;
import org.apache.spark.sql.catalyst.InternalRow;
import org.junit.jupiter.api.Test;

class AnswerColumnsTest {
  private static final ChoiceSet CHOICES =
      new ChoiceSet(List.of("good", "bad"), List.of(TokenIds.of(1), TokenIds.of(2)));

  private static GenerationResult result(Outcome outcome) {
    return new GenerationResult(0, 10, 7, outcome);
  }

  @Test
  void aLabelHasItsProbabilities() {
    AnswerColumns columns = new AnswerColumns(Task.LABEL);
    columns.fill(result(new Outcome.Choice(1, DoubleList.of(0.25, 0.75), 3)), CHOICES, 4);
    InternalRow row = columns.row();
    assertEquals("bad", row.getUTF8String(0).toString());
    assertEquals("stop", row.getUTF8String(1).toString());
    assertTrue(row.isNullAt(2));
    assertEquals(List.of(10, 4, 3), List.of(row.getInt(3), row.getInt(4), row.getInt(5)));
    assertEquals("bad", row.getUTF8String(6).toString());
    assertEquals(0.75, row.getDouble(7));
    assertEquals(2, row.getMap(8).numElements());
    assertEquals("good", row.getMap(8).keyArray().getUTF8String(0).toString());
    assertArrayEquals(new double[] {0.25, 0.75}, row.getMap(8).valueArray().toDoubleArray());
    assertEquals("bad", columns.label());
  }

  @Test
  void anotherSetsNamesReplaceTheLast() {
    AnswerColumns columns = new AnswerColumns(Task.LABEL);
    ChoiceSet others =
        new ChoiceSet(List.of("up", "down"), List.of(TokenIds.of(1), TokenIds.of(2)));
    for (ChoiceSet choices : List.of(CHOICES, others, CHOICES)) {
      columns.fill(result(new Outcome.Choice(0, DoubleList.of(0.75, 0.25), 1)), choices, 4);
      assertEquals(choices.names().get(0), columns.label());
    }
  }

  @Test
  void aChoiceWithoutProbabilitiesIsAResponse() {
    AnswerColumns columns = new AnswerColumns(Task.GENERATE);
    columns.fill(result(new Outcome.Choice(0, DoubleList.of(0.75, 0.25), 3)), CHOICES, 4);
    assertEquals(6, columns.row().numFields());
    assertEquals("good", columns.row().getUTF8String(0).toString());
    assertNull(columns.label());
  }

  @Test
  void scoresAreSummedUp() {
    AnswerColumns columns = new AnswerColumns(Task.SCORE);
    columns.fill(result(new Outcome.Scores(FloatList.of(-1f, -2f, -3f))), null, 4);
    assertArrayEquals(new float[] {-1f, -2f, -3f}, columns.row().getArray(6).toFloatArray());
    assertEquals(-6.0, columns.row().getDouble(7));
    assertEquals(Math.exp(2), columns.row().getDouble(8), 1e-12);
    assertTrue(columns.row().isNullAt(0), "nothing was generated");
    columns.fill(result(new Outcome.Scores(FloatList.of())), null, 4);
    assertEquals(0.0, columns.row().getDouble(7));
    assertTrue(columns.row().isNullAt(8), "one token has no perplexity");
  }

  @Test
  void nothingOfARowIsLeftForTheNext() {
    AnswerColumns columns = new AnswerColumns(Task.LABEL);
    columns.fill(result(new Outcome.Choice(0, DoubleList.of(0.75, 0.25), 3)), CHOICES, 4);
    assertNull(columns.error());
    columns.fillError("no text");
    assertNotNull(columns.error());
    for (int i = 0; i < columns.row().numFields(); i++) {
      assertEquals(i != 1 && i != 2, columns.row().isNullAt(i), "column " + i);
    }
    columns.fill(result(new Outcome.Failure("too long")), null, 4);
    assertEquals("too long", columns.row().getUTF8String(2).toString());
    assertEquals(10, columns.promptTokens());
    assertEquals(0, columns.completionTokens());
  }
}
