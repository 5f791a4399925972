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
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.Test;

/** In every clause, each answer is right and each prompt is asked once, if it is needed. */
class SqlFunctionsTest extends SqlTest {
  private static final String ALL = "a1 b2 c3 a4 b5 c6 a7 b8 c9 a10 b11 c12";
  private static final String ALL_CAPITALS = ALL.toUpperCase(java.util.Locale.ROOT);
  private static final String CHOICES = ALL.replaceAll("(^| )", "$1?");

  @Test
  void everyFunctionGivesItsAnswer() {
    check(
        """
        SELECT ai_gen(text), ai_classify(text, array('b', 'c')),
               ai_query(concat('q', text), map()).response,
               ai_query(concat('q', text), map()).prompt_tokens, ai_score(text, 'xyz')
        FROM few
        """,
        List.of("B2|b|QB2|3|-3.0", "C3|c|QC3|3|-3.0"),
        list("b2 c3 ?b2 ?c3 qb2 qc3 b2xyz c3xyz"));
  }

  @Test
  void argumentsMayBeNamed() {
    check(
        """
        SELECT ai_gen(prompt => text), ai_classify(text, labels => array('b', 'c')),
               ai_query(options => map('seed', '1'), prompt => k).response,
               ai_score(continuation => 'xyz', PROMPT => text)
        FROM few
        """,
        List.of("B2|b|B|-3.0", "C3|c|C|-3.0"),
        list("b2 c3 ?b2 ?c3 b c b2xyz c3xyz"));
  }

  @Test
  void aNullArgumentHasANullAnswerAndAFailedRowTooButItsErrorCanBeRead() {
    check(
        """
        SELECT ai_gen(p), ai_query(p).error, ai_query(p).finish_reason, ai_classify(p, array(p, 'x'))
        FROM VALUES (CAST(NULL AS STRING)), ('!no'), ('#no'), ('yes') AS v(p)
        """,
        List.of(
            "null|null|null|null",
            "null|an exclamation|error|!no",
            "null|#no cannot be asked|error|null",
            "YES|null|stop|yes"),
        list("!no yes ?!no ?yes"));
  }

  @Test
  void equalCallsAreOneCallAndEqualPromptsAreAskedOnce() {
    check(
        """
        SELECT ai_gen(text), upper(ai_gen(text)), ai_gen('same') FROM few
        WHERE ai_gen(text) LIKE 'B%' ORDER BY ai_gen(text)
        """,
        List.of("B2|B2|SAME"), list("b2 c3 same"));
  }

  @Test
  void anAnswerIsCarriedToEveryOperatorThatAsksTheSame() {
    check(
        """
        SELECT upper(a), count(*) FROM (
          SELECT ai_gen(concat(ai_gen(text), 'x')) AS a, * FROM t
          WHERE ai_gen(concat(ai_gen(text), 'x')) > 'B6' ORDER BY ai_gen(text))
        WHERE ai_gen(text) < 'C6' GROUP BY upper(a)
        """,
        list("B8X|1 C12X|1 C3X|1"),
        list(ALL + " A1x B2x C3x A4x B5x A7x B8x A10x B11x C12x"));
    check(
        """
        SELECT ai_gen(text), count(*) FROM few WHERE ai_gen(text) <> '' GROUP BY ai_gen(text)
        """,
        list("B2|1 C3|1"),
        list("b2 c3"));
  }

  @Test
  void optionsOfACallMakeItAnother() {
    check(
        "SELECT ai_gen(text), ai_gen(text, map('seed', '1')) = ai_gen(text) FROM few WHERE id = 2",
        List.of("B2|true"),
        list("b2 b2"));
  }

  @Test
  void whereAndItsOrder() {
    check(
        "SELECT id FROM t WHERE ai_gen(text) LIKE 'A%' AND id < 6 AND k <> 'c'",
        list("1 4"), list("a1 b2 a4 b5"));
    check(
        """
        SELECT id, ai_gen(text) FROM t
        WHERE ai_classify(text, array('a', 'b')) = 'a' AND ai_gen(concat('x', text)) <> 'XA1'
        """,
        list("4|A4 7|A7 10|A10"),
        list(CHOICES + " xa1 xa4 xa7 xa10 a4 a7 a10"));
    check(
        "SELECT id FROM t WHERE id > 2 OR ai_gen(text) = 'A1'",
        list("1 3 4 5 6 7 8 9 10 11 12"),
        list("a1 b2"));
  }

  @Test
  void orderBy() {
    check(
        "SELECT id, ai_gen(text) FROM t ORDER BY id DESC LIMIT 2",
        list("12|C12 11|B11"),
        list("c12 b11"));
    check(
        "SELECT ai_gen(text) AS answer FROM t ORDER BY answer",
        list("A1 A10 A4 A7 B11 B2 B5 B8 C12 C3 C6 C9"),
        list(ALL));
    check("SELECT ai_gen(text) AS answer FROM t ORDER BY id", list(ALL_CAPITALS), list(ALL));
    check(
        "SELECT id FROM t WHERE id < 5 ORDER BY ai_score(text, k), id DESC",
        list("4 3 2 1"),
        list("a1a b2b c3c a4a"));
    check(
        "SELECT ai_gen(text) AS answer FROM t ORDER BY answer DESC LIMIT 1", list("C9"), list(ALL));
    check(
        "SELECT ai_gen(text) AS answer, id * 2 AS twice FROM t ORDER BY twice LIMIT 2 OFFSET 1",
        list("B2|4 C3|6"),
        list("b2 c3"));
  }

  @Test
  void generatedCodeDoesTheSame() {
    compiled(
        () ->
            checkOnce(
                """
                SELECT ai_gen(text) AS a, CASE WHEN k = 'b' THEN ai_query(k).response END,
                       ai_score(text, 'xy')
                FROM t WHERE ai_classify(text, array('a', if(k = 'a', 'x', k))) <> 'a' AND id < 6
                ORDER BY a DESC
                """,
                list("C3|null|-2.0 B5|B|-2.0 B2|B|-2.0"),
                list("?a1 ?b2 ?c3 ?a4 ?b5 b2 c3 b5 b b b2xy c3xy b5xy")));
  }

  @Test
  void aLimitIsAppliedBeforeTheAnswers() {
    inEveryMode(
        () -> {
          List<Row> rows =
              sql("SELECT * FROM (SELECT ai_gen(text) FROM t LIMIT 3)").collectAsList();
          assertEquals(3, rows.size());
          assertEquals(3, FakeModel.takePrompts().size());
          assertEquals(1, sql("SELECT id, ai_gen(text) FROM t").limit(1).collectAsList().size());
          assertEquals(1, FakeModel.takePrompts().size());
          sql("SELECT id, ai_gen(text) FROM t").show(5);
          assertEquals(6, FakeModel.takePrompts().size());
        });
  }

  @Test
  void groups() {
    check(
        "SELECT ai_classify(text, array('a', 'b')) AS label, count(*) FROM t GROUP BY label",
        list("a|4 b|8"),
        list(CHOICES));
    check(
        "SELECT k, max(ai_gen(text)), count(DISTINCT ai_gen(text)) FROM t GROUP BY k",
        list("a|A7|4 b|B8|4 c|C9|4"),
        list(ALL));
    check("SELECT ai_gen(k), count(*) FROM t GROUP BY k", list("A|4 B|4 C|4"), list("a b c"));
    check(
        "SELECT k, ai_gen(concat(k, max(id))) AS a FROM t GROUP BY k HAVING a <> 'B11'",
        list("a|A10 c|C12"),
        list("a10 b11 c12"));
    check("SELECT DISTINCT left(ai_gen(text), 1) FROM t", list("A B C"), list(ALL));
    check(
        "SELECT ai_gen(k), count(*) FROM few GROUP BY ROLLUP(ai_gen(k))",
        list("B|1 C|1 null|2"),
        list("b c"));
  }

  @Test
  void unusedAnswersAreNotComputed() {
    check("SELECT id FROM (SELECT id, ai_gen(text) FROM few)", list("2 3"), List.of());
    check("SELECT count(*) FROM (SELECT id, ai_gen(text) AS a FROM t)", list("12"), List.of());
    check(
        "SELECT b FROM (SELECT ai_gen(text) AS a, ai_gen(k) AS b FROM few)",
        list("B C"),
        list("b c"));
    check("SELECT id FROM few WHERE false AND ai_gen(text) = ''", List.of(), List.of());
  }

  @Test
  void filtersPassBelowAnswersTheyDoNotRead() {
    check(
        """
        SELECT * FROM (SELECT id AS n, ai_gen(text) AS a FROM t)
        WHERE n IN (SELECT id FROM few) AND a <> 'C3' AND n < 10
        """,
        list("2|B2"),
        list("b2 c3"));
  }

  @Test
  void joins() {
    check(
        "SELECT t.id, ai_gen(few.k) FROM t JOIN few ON t.id = few.id AND ai_gen(few.text) = 'B2'",
        list("2|B"),
        list("b2 c3 b"));
    check(
        "SELECT a.id, b.id FROM few a JOIN few b ON ai_gen(concat(a.k, b.k)) = 'BC'",
        list("2|3"),
        list("bb bc cb cc"));
    check(
        """
        SELECT t.id, few.id FROM t LEFT JOIN few ON t.id = few.id AND ai_gen(few.text) = 'B2'
        WHERE t.id < 4
        """,
        list("1|null 2|2 3|null"),
        list("b2 c3"));
    check(
        "SELECT id FROM few LEFT SEMI JOIN (SELECT ai_gen(text) AS a FROM t) ON upper(text) = a",
        list("2 3"),
        list(ALL));
  }

  @Test
  void caseEvaluatesTheBranchThatIsTaken() {
    check(
        """
        SELECT id, CASE WHEN k = 'b' THEN ai_gen(text) WHEN id = 3 THEN ai_gen('three')
                        ELSE 'none' END
        FROM t WHERE id < 5
        """,
        list("1|none 2|B2 3|THREE 4|none"),
        list("b2 three"));
    check(
        """
        SELECT if(ai_classify(text, array('b', 'x')) = 'b', ai_gen(text), coalesce(k, ai_gen(k)))
        FROM few
        """,
        list("B2 c"),
        list("?b2 ?c3 b2"));
    check(
        """
        SELECT CASE WHEN id = 2 THEN ai_gen(text)
                    WHEN ai_gen(k) = 'C' THEN concat(ai_gen(text), ai_gen(k)) END
        FROM few
        """,
        list("B2 C3C"),
        list("b2 c3 c"));
  }

  @Test
  void windowsNestedCallsAndGenerators() {
    check(
        """
        SELECT id, row_number() OVER (PARTITION BY ai_gen(k) ORDER BY ai_gen(text)) AS r FROM t
        WHERE id > 9
        """,
        list("10|1 11|1 12|1"),
        list("a b c a10 b11 c12"));
    check(
        "SELECT ai_gen(concat(ai_gen(text), '-', lag(k) OVER (ORDER BY id))) FROM few",
        List.of("null", "C3-B"),
        list("b2 c3 C3-b"));
    check(
        "SELECT explode(split(ai_gen(concat(text, ' ', k)), ' ')) FROM few",
        list("B2 B C3 C"),
        List.of("b2 b", "c3 c"));
  }

  @Test
  void subqueriesViewsAndCommonTables() {
    check(
        "SELECT id FROM t WHERE upper(text) IN (SELECT ai_gen(text) FROM few)",
        list("2 3"),
        list("b2 c3"));
    check(
        "SELECT (SELECT max(ai_gen(text)) FROM few), ai_gen((SELECT min(k) FROM t))",
        list("C3|A"),
        list("b2 c3 a"));
    check(
        """
        SELECT id FROM few
        WHERE EXISTS (SELECT 1 FROM t WHERE t.id = few.id AND ai_gen(t.text) = 'B2')
        """,
        list("2"),
        list(ALL));
    check(
        """
        WITH answers AS (SELECT id, ai_gen(text) AS a FROM few)
        SELECT x.a, y.a FROM answers x JOIN answers y ON x.id < y.id
        """,
        list("B2|C3"),
        list("b2 c3"));
    sql("CREATE OR REPLACE TEMPORARY VIEW answered AS SELECT id, ai_gen(text) AS a FROM few");
    check("SELECT a FROM answered WHERE id = 3", list("C3"), list("c3"));
    check(
        "SELECT ai_gen(text) FROM few UNION ALL SELECT ai_gen(k) FROM few",
        list("B2 C3 B C"),
        list("b2 c3 b c"));
    check(
        "SELECT ai_gen(k) FROM few EXCEPT SELECT ai_gen(text) FROM few",
        list("B C"),
        list("b c b2 c3"));
  }
}
