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

import static org.apache.spark.sql.functions.col;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.function.Function;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;

/** What is done to a transform's rows asks each prompt once, if it is needed. */
class TransformPlanTest extends SqlTest {
  private static final String ALL = "a1 b2 c3 a4 b5 c6 a7 b8 c9 a10 b11 c12";

  private static Dataset<Row> answers(SparkSession session) {
    return Moontide.with(
            JobOptions.fromMap(Map.of("model", "m", "text-column", "text")), new FakeModel())
        .transform(session.read().parquet(System.getProperty("java.io.tmpdir") + "/sql-tables/t"));
  }

  /** With and without adaptive execution, with the extensions and in a session without. */
  private static void asks(String prompts, Consumer<Dataset<Row>> action) {
    Map<String, Integer> expected = new TreeMap<>();
    list(prompts).forEach(prompt -> expected.put(prompt, 1));
    inEveryMode(
        () -> {
          action.accept(answers(session()));
          assertEquals(expected, FakeModel.takePrompts());
        });
    SparkSession bare = withoutExtensions();
    for (String adaptive : List.of("true", "false")) {
      bare.conf().set("spark.sql.adaptive.enabled", adaptive);
      action.accept(answers(bare));
      assertEquals(expected, FakeModel.takePrompts(), "without extensions, adaptive " + adaptive);
    }
  }

  private static SparkSession withoutExtensions() {
    SparkSession given = session();
    SparkSession.clearActiveSession();
    SparkSession.clearDefaultSession();
    SparkSession bare = SparkSession.builder().getOrCreate();
    SparkSession.setActiveSession(given);
    SparkSession.setDefaultSession(given);
    return bare;
  }

  private static void asks(
      String prompts, Function<Dataset<Row>, Dataset<Row>> query, List<String> rows) {
    asks(prompts, answers -> assertEquals(rows, rows(query.apply(answers))));
  }

  @Test
  void orders() {
    asks(
        ALL,
        answers -> answers.orderBy("response").select("response"),
        list("A1 A10 A4 A7 B11 B2 B5 B8 C12 C3 C6 C9"));
    asks(ALL, answers -> answers.orderBy("id").select("id").where("response > 'C5'"), list("6 9"));
    asks(
        ALL,
        answers -> answers.orderBy(answers.col("response").desc()).limit(2).select("response"),
        list("C9 C6"));
    asks(
        ALL,
        answers ->
            assertEquals(12, answers.repartitionByRange(3, answers.col("id")).toJavaRDD().count()));
  }

  @Test
  void products() {
    asks(
        ALL,
        answers -> {
          SparkSession session = answers.sparkSession();
          session.conf().set("spark.sql.autoBroadcastJoinThreshold", "-1");
          Dataset<Row> other = session.range(0, 3, 1, 3).toDF("n");
          try {
            assertEquals(list("36"), rows(answers.crossJoin(other).selectExpr("count(response)")));
          } finally {
            session.conf().unset("spark.sql.autoBroadcastJoinThreshold");
          }
        });
    asks(
        ALL,
        answers ->
            answers
                .join(
                    answers.sparkSession().range(2, 4).toDF("n"),
                    col("id").lt(col("n")),
                    "full_outer")
                .where("response = 'A1' OR n = 3")
                .select("id", "n")
                .orderBy("id"),
        list("1|2 1|3 2|3"));
  }

  @Test
  void whatNoOneReadsIsNotAsked() {
    asks("", answers -> assertEquals(12, answers.count()));
    asks("", answers -> assertEquals(12, answers.select("id").distinct().count()));
  }

  @Test
  void rowsNoOneReadsAreNotAsked() {
    asks(
        "a1 b2",
        answers -> answers.filter("id < 3").select("response").orderBy("id"),
        list("A1 B2"));
    asks(
        "a1 b2 a4",
        answers ->
            answers.filter("response LIKE 'A%' AND id < 5 AND k <> 'c'").select("id").orderBy("id"),
        list("1 4"));
    assertEquals(4, answers(session()).limit(4).select("response").collectAsList().size());
    assertEquals(4, FakeModel.takePrompts().size());
  }

  @Test
  void errorsAndOtherColumns() {
    asks(
        "!x y",
        unused ->
            assertEquals(
                List.of("!x|null|error|an exclamation", "y|Y|stop|null"),
                rows(
                    Moontide.with(
                            JobOptions.fromMap(Map.of("model", "m", "text-column", "text")),
                            new FakeModel())
                        .transform(unused.sparkSession().sql("VALUES ('!x'), ('y') AS v(text)"))
                        .select("text", "response", "finish_reason", "error")
                        .orderBy("text"))));
  }

  @Test
  void eachUseIsComputedUnlessItIsCached() {
    Dataset<Row> answers = answers(session()).where("id < 3");
    Dataset<Row> joined =
        answers.as("x").join(answers.as("y"), "id").selectExpr("x.response", "y.response");
    assertEquals(List.of("A1|A1", "B2|B2"), rows(joined.orderBy("id")));
    assertEquals(Map.of("a1", 2, "b2", 2), FakeModel.takePrompts());
    answers.cache();
    assertEquals(List.of("A1|A1", "B2|B2"), rows(joined.orderBy("id")));
    assertEquals(2, answers.filter("response IS NOT NULL").count());
    assertEquals(Map.of("a1", 1, "b2", 1), FakeModel.takePrompts());
    answers.unpersist();
  }

  @Test
  void plansShowIt() {
    String plan = answers(session()).queryExecution().toString();
    assertTrue(plan.contains("Transform [generate, model=m]"), plan);
  }
}
