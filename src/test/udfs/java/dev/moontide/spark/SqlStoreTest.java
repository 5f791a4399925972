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

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.api.java.UDF1;
import org.apache.spark.sql.types.DataTypes;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Calls whose session has a store of finished results: what is asked of the model, and what not.
 */
class SqlStoreTest extends SqlTest {
  private static final String STORE = "spark.moontide.store";

  @TempDir Path folder;

  @BeforeEach
  void store() {
    session().conf().set(STORE, folder.resolve("store").toString());
  }

  @AfterEach
  void forget() {
    session().conf().unset(STORE);
  }

  private static int asked() {
    return FakeModel.takePrompts().values().stream().mapToInt(Integer::intValue).sum();
  }

  @Test
  void whatAnEarlierQueryFinishedIsNotAskedAgain() {
    String labels = "ai_classify(text, array('a', 'b'))";
    List<String> two = list("2|B2|b 3|C3|b");
    checkOnce("SELECT id, ai_gen(text), %s FROM few".formatted(labels), two, list("b2 c3 ?b2 ?c3"));
    checkOnce("SELECT id, ai_gen(text), %s FROM few".formatted(labels), two, list(""));
    // Other rows and other options are other questions.
    checkOnce("SELECT ai_gen(text) FROM t WHERE id < 4", list("A1 B2 C3"), list("a1"));
    checkOnce("SELECT ai_classify(k, array('a', 'b')) FROM few", list("b b"), list("?b ?c"));
    checkOnce("SELECT ai_classify(k, array('b', 'c')) FROM few", list("b c"), list("?b ?c"));
    checkOnce("SELECT ai_score(k, 'xy') FROM few", list("-2.0 -2.0"), list("bxy cxy"));
    checkOnce("SELECT ai_score(k, 'xy') FROM few", list("-2.0 -2.0"), list(""));
    // What failed is asked again.
    String failing = "SELECT ai_query(concat('!', k)).error FROM few WHERE id = 2";
    checkOnce(failing, List.of("an exclamation"), list("!b"));
    checkOnce(failing, List.of("an exclamation"), list("!b"));

    session().conf().unset(STORE);
    checkOnce("SELECT ai_gen(text) FROM few", list("B2 C3"), list("b2 c3"));
  }

  @Test
  void theTransformSharesTheStoreWithTheFunctions() {
    checkOnce("SELECT ai_gen(text) FROM few", list("B2 C3"), list("b2 c3"));
    Moontide transform =
        Moontide.with(
            JobOptions.fromMap(Map.of("model", "m", "text-column", "text")), new FakeModel());
    Dataset<Row> answers = transform.transform(session().table("t").where("id < 4"));
    assertEquals(list("A1 B2 C3"), rows(answers.orderBy("id").select("response")));
    assertEquals(Map.of("a1", 1), FakeModel.takePrompts());
  }

  @Test
  void equalPromptsOfDifferentTasksAreAskedOnce() {
    inEveryMode(
        () -> {
          session().conf().set(STORE, folder.resolve("once" + System.nanoTime()).toString());
          assertEquals(
              list("A B C"), rows(sql("SELECT DISTINCT ai_gen(k) AS a FROM t ORDER BY a")));
          assertEquals(Map.of("a", 1, "b", 1, "c", 1), FakeModel.takePrompts());
        });
  }

  /** The rows before the failure were answered, and those behind it in the same partition not. */
  @Test
  void aQueryThatFailedGoesOnWhereItWas() {
    UDF1<Long, Boolean> failing =
        id -> {
          if (id == 3000) {
            throw new IllegalStateException("injected");
          }
          return true;
        };
    session().udf().register("fails", failing, DataTypes.BooleanType);
    String rows = "SELECT ai_gen(concat('p', id)) AS a FROM range(0, 4000, 1, 1)";
    assertThrows(Exception.class, () -> rows(sql(rows + " WHERE fails(id)")));
    int finished = asked();
    assertTrue(finished > 2000 && finished <= 3000, () -> "asked before the failure: " + finished);
    List<String> expected = IntStream.range(0, 4000).mapToObj(id -> "P" + id).toList();
    assertEquals(expected, rows(sql(rows)));
    int asked = asked();
    assertTrue(asked >= 1000 && asked <= 1016, () -> "asked by the rerun: " + asked);
  }

  @Test
  void theStoreIsShownAndAFolderThatCannotBeIsRefused() {
    assertTrue(
        String.join("\n", rows(sql("EXPLAIN SELECT ai_gen(text) FROM few")))
            .contains(", store=" + folder.resolve("store")));
    session().conf().set(STORE, "nowhere://x/y");
    Throwable refusal =
        assertThrows(Exception.class, () -> rows(sql("SELECT ai_gen(text) FROM few")));
    assertTrue(
        String.valueOf(refusal.getMessage())
            .startsWith("spark.moontide.store is nowhere://x/y: allowed is a folder"),
        refusal::toString);
  }
}
