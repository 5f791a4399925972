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
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.spark.sql.InferenceExec;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.execution.SparkPlan;
import org.apache.spark.sql.execution.adaptive.AdaptiveSparkPlanExec;
import org.apache.spark.sql.execution.metric.SQLMetric;
import org.apache.spark.sql.streaming.StreamingQuery;
import org.apache.spark.sql.streaming.Trigger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import scala.jdk.javaapi.CollectionConverters;

/** The functions in statements other than a query, and what is told about them. */
class SqlStatementsTest extends SqlTest {
  @TempDir Path folder;

  private static String explained(String query) {
    return String.join("\n", rows(sql("EXPLAIN EXTENDED " + query)));
  }

  private static List<InferenceExec> inferences(SparkPlan plan) {
    List<InferenceExec> found = new ArrayList<>();
    SparkPlan executed = plan instanceof AdaptiveSparkPlanExec a ? a.executedPlan() : plan;
    if (executed instanceof InferenceExec inference) {
      found.add(inference);
    }
    CollectionConverters.asJava(executed.children()).forEach(c -> found.addAll(inferences(c)));
    return found;
  }

  private static Map<String, Integer> once(String prompts) {
    Map<String, Integer> counts = new TreeMap<>();
    list(prompts).forEach(prompt -> counts.put(prompt, 1));
    return counts;
  }

  @Test
  void tablesAreCreatedAndFilledOnce() {
    for (String adaptive : List.of("true", "false")) {
      session().conf().set("spark.sql.adaptive.enabled", adaptive);
      sql("DROP TABLE IF EXISTS made");
      sql("CREATE TABLE made USING parquet AS SELECT id, ai_gen(text) AS a FROM few ORDER BY a");
      assertEquals(once("b2 c3"), FakeModel.takePrompts());
      sql("INSERT INTO made SELECT id, ai_gen(k) FROM few WHERE id = 2");
      assertEquals(once("b"), FakeModel.takePrompts());
      assertEquals(list("B B2 C3"), rows(sql("SELECT a FROM made ORDER BY a")));
      assertEquals(Map.of(), FakeModel.takePrompts());
    }
    session().conf().unset("spark.sql.adaptive.enabled");
    sql("DROP TABLE made");
  }

  @Test
  void aCachedAnswerIsNotComputedAgain() {
    Dataset<Row> answers = sql("SELECT id, ai_gen(text) AS a FROM few").cache();
    assertEquals(2, answers.count());
    assertEquals(
        list("C3 B2"), rows(answers.orderBy("a").select("a").sort(answers.col("a").desc())));
    assertEquals(list("C3"), rows(sql("SELECT ai_gen(text) FROM few WHERE ai_gen(text) > 'C'")));
    assertEquals(Map.of("b2", 2, "c3", 2), FakeModel.takePrompts());
    answers.unpersist();
  }

  @Test
  void aPersistedViewTakesTheOptionsOfTheSessionThatReadsIt() {
    sql("CREATE OR REPLACE VIEW kept AS SELECT ai_gen(x) AS a FROM VALUES ('p'), ('q') AS v(x)");
    assertEquals(list("P Q"), rows(sql("SELECT a FROM kept ORDER BY a")));
    session().conf().set("spark.moontide.maxTokens", "7");
    assertTrue(explained("SELECT a FROM kept").contains("kv-cache-memory=8g, max-tokens=7"));
    session().conf().unset("spark.moontide.maxTokens");
    sql("DROP VIEW kept");
  }

  @Test
  void plansShowModelOptionsAndFigures() {
    String plan =
        explained(
            """
            SELECT ai_gen(text, named_struct('maxTokens', 20, 'stop', array('.', '!'))),
                   ai_classify(text, array('a', 'b'))
            FROM few
            """);
    assertTrue(plan.contains("Inference [ai_gen(text#"), plan);
    assertTrue(
        plan.contains(
            "; model=/models/fake, kv-cache-memory=8g, max-tokens=20, stop=[\".\",\"!\"])"),
        plan);
    assertTrue(plan.contains("; model=/models/fake, labels=[a, b], kv-cache-memory=8g)"), plan);

    Dataset<Row> query = sql("SELECT ai_query(concat(p, 'x')) FROM VALUES ('!'), ('y') AS v(p)");
    query.collect();
    List<InferenceExec> nodes = inferences(query.queryExecution().executedPlan());
    assertEquals(1, nodes.size());
    Map<String, SQLMetric> metrics = CollectionConverters.asJava(nodes.get(0).metrics());
    assertEquals(2, value(metrics, "numOutputRows"));
    assertEquals(2, value(metrics, "prompts"));
    assertEquals(1, value(metrics, "errors"));
    assertEquals(4, value(metrics, "promptTokens"));
    assertEquals(2, value(metrics, "cachedTokens"));
    assertEquals(2, value(metrics, "completionTokens"));
    assertTrue(metrics.containsKey("engineTime"));
  }

  private static long value(Map<String, SQLMetric> metrics, String name) {
    return Objects.requireNonNull(metrics.get(name), name).value();
  }

  /** Without adaptive execution the model's time would count against the broadcast's. */
  @Test
  void answersAreBroadcastWhereSparkWaitsForThem() {
    String join = "SELECT * FROM t LEFT JOIN (SELECT id, ai_gen(text) AS a FROM few) USING (id)";
    assertTrue(explained(join).contains("BroadcastHashJoin"));
    session().conf().set("spark.sql.adaptive.enabled", "false");
    assertFalse(explained(join).contains("BroadcastHashJoin"));
    session().conf().unset("spark.sql.adaptive.enabled");
  }

  @Test
  void severalCallsAreOneNode() {
    Dataset<Row> query =
        sql("SELECT ai_gen(text), ai_gen(k), ai_classify(text, array('a', 'b')) FROM few");
    query.collect();
    assertEquals(1, inferences(query.queryExecution().executedPlan()).size());
  }

  @Test
  void whatCannotWorkIsRefused() {
    refused(
        "SELECT transform(array('a'), x -> ai_gen(x))", "ai_gen stands in the lambda", "explode");
    refused(
        "SELECT id FROM few WHERE EXISTS (SELECT 1 FROM t WHERE t.text = ai_gen(few.text))",
        "ai_gen stands in a correlated subquery",
        "reads the outer query's row");
    refused(
        """
        SELECT (SELECT max(ai_classify(t.text, array('a'))) FROM t WHERE t.id = few.id) FROM few
        """,
        "ai_classify stands in a correlated subquery",
        "comes after a condition on the outer query's row");
    refused(
        "SELECT * FROM few a LEFT JOIN few b ON ai_gen(concat(a.k, b.k)) = 'x'",
        "ai_gen reads both sides of a LEFT OUTER join");
    String recursive =
        "WITH RECURSIVE r(n, a) AS (%s UNION ALL SELECT n + 1, %s FROM r WHERE n < 3) FROM r";
    refused(recursive.formatted("SELECT 1, ai_gen('a')", "a"), "ai_gen stands in a recursive");
    refused(recursive.formatted("SELECT 1, 'a'", "ai_gen(a)"), "ai_gen stands in a recursive");
    refused(
        """
        WITH RECURSIVE c AS (SELECT ai_gen(text) AS a FROM few),
             r(n, a) AS (SELECT 1, a FROM c UNION ALL SELECT n + 1, a FROM r WHERE n < 3)
        SELECT * FROM r
        """,
        "ai_gen stands in a recursive");
  }

  @Test
  void theRowsOfARecursionAreAsked() {
    checkOnce(
        """
        WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 3)
        SELECT ai_gen(concat('n', n)) AS a FROM r ORDER BY a
        """,
        list("N1 N2 N3"),
        list("n1 n2 n3"));
  }

  @Test
  void badOptionsAreRefusedWhenTheQueryIsRead() {
    refused("SELECT ai_gen()", "ai_gen has 0 arguments", "ai_gen(prompt[, options])");
    refused("SELECT ai_gen(text, map('max_token', '3')) FROM t", "max_token", "max-tokens?");
    refused("SELECT ai_gen(text, map('top_p', '3')) FROM t", "top-p is 3.0");
    refused("SELECT ai_gen(text, map('seed', k)) FROM t", "its options are map('seed', t.k)");
    refused("SELECT ai_gen(text, 'seed') FROM t", "its options are 'seed'", "STRING");
    refused("SELECT ai_gen(text, map('idColumn', 'id')) FROM t", "takes no option id-column");
    refused("SELECT ai_gen(text, map('choices', 'a,b')) FROM t", "ai_gen takes no option choices");
    refused(
        "SELECT ai_classify(text, array('a'), map('choices-file', 'f')) FROM t",
        "ai_classify takes no option choices-file");
    refused("SELECT ai_gen(text => 'a')", "UNRECOGNIZED_PARAMETER_NAME", "prompt");
    refused("SELECT ai_score(prompt => 'a')", "REQUIRED_PARAMETER_NOT_FOUND", "continuation");
    refused("SELECT ai_classify(text, 'a') FROM t", "its labels are 'a'", "array('good', 'bad')");
    refused("SELECT ai_classify(text, array('a', 'a')) FROM t", "labels has \"a\" twice");
    refused("SELECT ai_score(text) FROM t", "ai_score has 1 arguments");
    refused("SELECT ai_gen(array(text)) FROM t", "DATATYPE_MISMATCH");
    session().conf().set("spark.moontide.temprature", "1");
    refused(
        "SELECT ai_gen(text) FROM t", "spark.moontide.temprature", "spark.moontide.temperature?");
    session().conf().unset("spark.moontide.temprature");
  }

  @Test
  void aStreamIsAnsweredByFunctionsAndByTheTransform() throws Exception {
    String input = folder.resolve("in").toString();
    session().table("few").write().json(input);
    Dataset<Row> stream =
        session().readStream().schema(session().table("few").schema()).json(input);
    for (String way : List.of("function", "transform")) {
      Dataset<Row> answers =
          way.equals("function")
              ? stream.selectExpr("id", "ai_gen(text) AS response")
              : Moontide.with(
                      JobOptions.fromMap(Map.of("model", "m", "text-column", "text")),
                      new FakeModel())
                  .transform(stream);
      String output = folder.resolve(way).toString();
      StreamingQuery query =
          answers
              .writeStream()
              .format("json")
              .option("checkpointLocation", output + "-checkpoint")
              .trigger(Trigger.AvailableNow())
              .start(output);
      query.processAllAvailable();
      query.stop();
      assertEquals(
          list("B2 C3"), rows(session().read().json(output).orderBy("id").select("response")), way);
      assertEquals(once("b2 c3"), FakeModel.takePrompts(), way);
    }
  }
}
