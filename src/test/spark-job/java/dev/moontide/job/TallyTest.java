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
package dev.moontide.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.spark.JobOptions;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TallyTest extends LocalSession {
  private static final long serialVersionUID = 1L;

  @TempDir static Path folder;

  @Test
  void countsWhatIsWritten() {
    JobOptions options =
        JobOptions.fromMap(
            Map.of("task", "label", "model", "x", "labels", "a,b,c", "truth-column", "truth"));
    // Of 1,000 rows every tenth fails; the label is right unless the row's number ends in 1.
    Dataset<Row> answers =
        session()
            .range(0, 1000, 1, 7)
            .selectExpr(
                "if(id % 100 = 5, null, element_at(array('a', 'b', 'c'), cast(id % 3 as int) + 1))"
                    + " as truth",
                "if(id % 10 = 0, null, if(id % 10 = 1, 'wrong',"
                    + " element_at(array('a', 'b', 'c'), cast(id % 3 as int) + 1))) as label",
                "if(id % 10 = 0, concat('row \"', id, '\": 12 is above ', id), null) as error",
                "5 as prompt_tokens",
                "3 as cached_tokens",
                "if(id % 10 = 0, null, 2) as completion_tokens");
    Tally.Counts counts = counts(options, answers, "labels");
    assertEquals(1000, counts.rows());
    assertEquals(100, counts.errors());
    assertEquals(5000, counts.promptTokens());
    assertEquals(3000, counts.cachedTokens());
    assertEquals(1800, counts.completionTokens());
    assertEquals(Map.of("row \"…\": # is above #", 100L), counts.reasons());
    Map<String, Long> labels = counts.labels().orElseThrow();
    assertEquals(900, labels.values().stream().mapToLong(Long::longValue).sum());
    assertEquals(100, labels.get("wrong"));
    assertEquals(Optional.of(new Tally.Accuracy(790, 990)), counts.accuracy());
  }

  @Test
  void ofScoresTellsThePerplexityOfAllTokens() {
    JobOptions options = JobOptions.fromMap(Map.of("task", "score", "model", "x"));
    Dataset<Row> answers =
        session()
            .range(0, 10, 1, 3)
            .selectExpr(
                "cast(null as string) as error",
                "3 as prompt_tokens",
                "0 as cached_tokens",
                "0 as completion_tokens",
                "array(float(-1), float(-3)) as token_logprobs",
                "double(-4) as logprob");
    Tally.Counts counts = counts(options, answers, "scores");
    assertEquals(Math.exp(2), counts.perplexity().orElseThrow().value(), 1e-12);
    assertTrue(counts.labels().isEmpty());
    assertTrue(counts.accuracy().isEmpty());
  }

  @Test
  void ofNoTokenThereIsNoPerplexityAndOfNoTruthNoAccuracy() {
    JobOptions score = JobOptions.fromMap(Map.of("task", "score", "model", "x"));
    String common =
        "cast(null as string) as error, 1 as prompt_tokens, 0 as cached_tokens,"
            + " 0 as completion_tokens";
    Dataset<Row> one =
        session()
            .sql("SELECT %s, array() as token_logprobs, double(0) as logprob".formatted(common));
    assertTrue(counts(score, one, "no-tokens").perplexity().isEmpty());
    JobOptions label =
        JobOptions.fromMap(
            Map.of("task", "label", "model", "x", "labels", "a", "truth-column", "t"));
    Dataset<Row> untold =
        session().sql("SELECT %s, 'a' as label, cast(null as string) as t".formatted(common));
    assertTrue(counts(label, untold, "no-truths").accuracy().isEmpty());
  }

  @Test
  void ofNoRowsCountsNone() {
    JobOptions options =
        JobOptions.fromMap(Map.of("task", "generate", "model", "x", "text-column", "t"));
    Dataset<Row> answers =
        session()
            .range(0)
            .selectExpr(
                "cast(null as string) as error",
                "1 as prompt_tokens",
                "0 as cached_tokens",
                "0 as completion_tokens");
    Tally.Counts counts = counts(options, answers, "none");
    assertEquals(0, counts.rows());
    assertEquals(0, counts.promptTokens());
    assertEquals(Map.of(), counts.reasons());
  }

  private Tally.Counts counts(JobOptions options, Dataset<Row> answers, String name) {
    Tally tally = new Tally(options);
    Dataset<Row> counted = tally.over(answers);
    String path = folder.resolve(name).toString();
    Values values = new Values(Map.of("output", List.of(path)));
    new DatasetWriter(session()).write(counted, OutputTarget.of(values), path);
    return tally.counts();
  }
}
