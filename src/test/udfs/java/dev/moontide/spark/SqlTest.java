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

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Supplier;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeEach;

/**
 * Tests of the SQL functions on a {@link FakeModel}, in one session for all of them. The table
 * {@code t} has {@code id} from 1 to 12 in three files, {@code text} "a1", "b2", "c3", "a4" … and
 * {@code k}, its letter; {@code few} has the rows with ids 2 and 3.
 */
abstract class SqlTest {
  private static final Supplier<SparkSession> SESSION = new Shared();

  private static final class Shared implements Supplier<SparkSession> {
    private @Nullable SparkSession session;

    @Override
    public synchronized SparkSession get() {
      if (session == null) {
        session =
            SparkSession.builder()
                .master("local[2]")
                .appName("sql")
                .config("spark.ui.enabled", "false")
                .config("spark.sql.shuffle.partitions", "2")
                .config("spark.sql.warehouse.dir", System.getProperty("java.io.tmpdir") + "/sql")
                .config("spark.moontide.model", "/models/fake")
                .config("spark.moontide.kvCacheMemory", "8g")
                .withExtensions(new MoontideExtensions(new FakeModel()))
                .getOrCreate();
        String path = System.getProperty("java.io.tmpdir") + "/sql-tables/";
        session
            .sql(
                """
                SELECT CAST(id AS INT) AS id,
                       concat(element_at(array('c', 'a', 'b'), CAST(id % 3 + 1 AS INT)), id) AS text,
                       element_at(array('c', 'a', 'b'), CAST(id % 3 + 1 AS INT)) AS k
                FROM range(1, 13, 1, 3)
                """)
            .write()
            .mode("overwrite")
            .parquet(path + "t");
        session
            .read()
            .parquet(path + "t")
            .where("id IN (2, 3)")
            .coalesce(1)
            .write()
            .mode("overwrite")
            .parquet(path + "few");
        session.read().parquet(path + "t").createOrReplaceTempView("t");
        session.read().parquet(path + "few").createOrReplaceTempView("few");
      }
      return session;
    }
  }

  @BeforeEach
  void forgetPrompts() {
    session();
    FakeModel.takePrompts();
  }

  static SparkSession session() {
    return SESSION.get();
  }

  static Dataset<Row> sql(String statement) {
    return session().sql(statement);
  }

  /** Interpreted, as most of the time of a test would go into compiling what Spark generates. */
  private static final List<Map<String, String>> MODES =
      List.of(mode(true, false), mode(false, false));

  private static Map<String, String> mode(boolean adaptive, boolean compiled) {
    return Map.of(
        "spark.sql.adaptive.enabled",
        Boolean.toString(adaptive),
        "spark.sql.codegen.wholeStage",
        Boolean.toString(compiled),
        "spark.sql.codegen.factoryMode",
        compiled ? "FALLBACK" : "NO_CODEGEN");
  }

  /**
   * Runs a query in every mode.
   *
   * @param rows its rows, each as {@code a|b|c}, in any order unless the query orders them
   * @param prompts every prompt it may ask, each as often as it is here
   */
  static void check(String query, List<String> rows, List<String> prompts) {
    inEveryMode(() -> checkOnce(query, rows, prompts));
  }

  /** The same in the mode that is set. */
  static void checkOnce(String query, List<String> rows, List<String> prompts) {
    List<String> actual = new ArrayList<>(rows(sql(query)));
    List<String> expected = new ArrayList<>(rows);
    int order = query.lastIndexOf("ORDER BY");
    if (order < 0 || query.contains("OVER") || query.indexOf("GROUP BY", order) > 0) {
      Collections.sort(actual);
      Collections.sort(expected);
    }
    assertEquals(expected, actual, query);
    assertEquals(counts(prompts), FakeModel.takePrompts(), query);
  }

  /** Runs {@code test} with and without adaptive execution. */
  static void inEveryMode(Runnable test) {
    MODES.forEach(mode -> in(mode, test));
  }

  /** Runs {@code test} with generated code, with and without adaptive execution. */
  static void compiled(Runnable test) {
    in(mode(true, true), test);
    in(mode(false, true), test);
  }

  private static void in(Map<String, String> mode, Runnable test) {
    mode.forEach(session().conf()::set);
    FakeModel.takePrompts();
    try {
      test.run();
    } catch (AssertionError | RuntimeException e) {
      throw new AssertionError("with " + mode + ": " + e.getMessage(), e);
    } finally {
      mode.keySet().forEach(session().conf()::unset);
    }
  }

  static List<String> rows(Dataset<Row> rows) {
    return rows.collectAsList().stream().map(row -> row.mkString("|")).toList();
  }

  private static Map<String, Integer> counts(List<String> prompts) {
    Map<String, Integer> counts = new TreeMap<>();
    prompts.forEach(prompt -> counts.merge(prompt, 1, Integer::sum));
    return counts;
  }

  /** A statement that must be refused, with a message that has these parts. */
  static void refused(String statement, String... parts) {
    Throwable refusal = assertThrows(Exception.class, () -> sql(statement).queryExecution());
    for (String part : parts) {
      assertTrue(String.valueOf(refusal.getMessage()).contains(part), refusal::getMessage);
    }
    assertEquals(Map.of(), FakeModel.takePrompts());
  }

  static List<String> list(String words) {
    return words.isEmpty() ? List.of() : Arrays.asList(words.split(" "));
  }
}
