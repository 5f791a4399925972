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

import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What stands in a query twice is asked once. */
class SqlSharingTest extends SqlTest {
  @BeforeEach
  void view() {
    sql("CREATE OR REPLACE TEMPORARY VIEW v AS SELECT id, k, ai_gen(text) AS a FROM few");
  }

  @Test
  void aViewJoinedWithItself() {
    String joined = "SELECT x.id, y.a FROM v x JOIN v y ON x.id = y.id";
    check(joined, list("2|B2 3|C3"), list("b2 c3"));
    session().conf().set("spark.sql.autoBroadcastJoinThreshold", "-1");
    check(joined, list("2|B2 3|C3"), list("b2 c3"));
    session().conf().unset("spark.sql.autoBroadcastJoinThreshold");
  }

  @Test
  void eachUseWithFiltersAndColumnsOfItsOwn() {
    check(
        "SELECT a FROM v WHERE id = 2 UNION ALL SELECT concat(k, a) FROM v WHERE a > 'C'",
        list("B2 cC3"),
        list("b2 c3"));
    check(
        "SELECT a FROM v WHERE id < 3 UNION ALL SELECT k FROM v WHERE a < 'C' AND id < 3",
        list("B2 b"),
        list("b2"));
  }

  @Test
  void inSubqueriesAndWithinOneAnother() {
    check("SELECT id FROM v WHERE a = (SELECT max(a) FROM v)", list("3"), list("b2 c3"));
    check(
        """
        SELECT a FROM (SELECT a, id FROM v WHERE id = (SELECT min(id) FROM v))
        UNION ALL SELECT a FROM v
        """,
        list("B2 B2 C3"),
        list("b2 c3"));
    check(
        """
        WITH c AS (SELECT x.id, x.a FROM v x JOIN v y USING (id))
        SELECT c.a, d.a, v.a FROM c JOIN c d USING (id) JOIN v USING (id)
        """,
        list("B2|B2|B2 C3|C3|C3"),
        list("b2 c3"));
  }

  @Test
  void aSubqueryThatIsWrittenTwice() {
    String labels = "(SELECT k, ai_classify(text, array('b', 'c')) AS l FROM few)";
    check(
        "SELECT x.l, count(*) FROM %s x JOIN %s y ON x.l = y.l GROUP BY x.l"
            .formatted(labels, labels),
        list("b|1 c|1"),
        list("?b2 ?c3"));
  }

  @Test
  void whatDiffersIsNotShared() {
    check(
        """
        SELECT ai_gen(k) FROM few UNION ALL SELECT ai_gen(k, map('max_tokens', '3')) FROM few
        """,
        list("B C B C"),
        list("b c b c"));
    Dataset<Row> drawn = sql("SELECT a, rand() >= 0 AS r FROM (SELECT ai_gen(k) AS a FROM few)");
    assertEquals(4, drawn.unionAll(drawn).count());
    FakeModel.takePrompts();
  }

  @Test
  void tablesAreMadeFromSharedAnswersOnce() {
    sql("DROP TABLE IF EXISTS shared");
    sql("CREATE TABLE shared USING parquet AS SELECT x.a FROM v x JOIN v y ON x.id = y.id");
    assertEquals(Map.of("b2", 1, "c3", 1), FakeModel.takePrompts());
    sql("INSERT INTO shared SELECT a FROM v UNION ALL SELECT a FROM v");
    assertEquals(Map.of("b2", 1, "c3", 1), FakeModel.takePrompts());
    assertEquals(List.of("6"), rows(sql("SELECT count(a) FROM shared")));
    sql("DROP TABLE shared");
  }

  /** Each side is read for every partition of the other. */
  @Test
  void aProductReadsBothSidesOnce() {
    session().conf().set("spark.sql.autoBroadcastJoinThreshold", "-1");
    check(
        """
        SELECT count(*), max(g), max(h)
        FROM (SELECT id, ai_gen(text) AS g FROM t) x
        JOIN (SELECT /*+ REPARTITION(7) */ id, ai_gen(k) AS h FROM few) y ON x.id < y.id
        """,
        list("3|B2|C"),
        list("a1 b2 c3 a4 b5 c6 a7 b8 c9 a10 b11 c12 b c"));
    session().conf().unset("spark.sql.autoBroadcastJoinThreshold");
  }

  /** One job finds partners, another the rows of the broadcast side that have none. */
  @Test
  void anOuterJoinThatBroadcastsTheSideItKeepsReadsTheOtherOnce() {
    check(
        """
        SELECT few.id, g FROM (SELECT id, ai_gen(text) AS g FROM t) x FULL OUTER JOIN few
        ON x.id < few.id WHERE x.id < 3 OR x.id IS NULL
        """,
        list("2|A1 3|A1 3|B2"),
        list("a1 b2 c3 a4 b5 c6 a7 b8 c9 a10 b11 c12"));
    check(
        """
        SELECT /*+ BROADCAST(few) */ few.id, g
        FROM few LEFT JOIN (SELECT id, ai_gen(text) AS g FROM t) x ON x.id > few.id + 8
        """,
        list("2|B11 2|C12 3|C12"),
        list("a1 b2 c3 a4 b5 c6 a7 b8 c9 a10 b11 c12"));
  }

  @Test
  void aCachedViewServesEachUse() {
    Dataset<Row> view = session().table("v").cache();
    assertEquals(2, view.count());
    FakeModel.takePrompts();
    assertEquals(list("B2 C3"), rows(sql("SELECT x.a FROM v x JOIN v y USING (id) ORDER BY x.a")));
    assertEquals(Map.of(), FakeModel.takePrompts());
    view.unpersist();
  }
}
