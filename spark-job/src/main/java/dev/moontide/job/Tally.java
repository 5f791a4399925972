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

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.regexp_replace;
import static org.apache.spark.sql.functions.size;
import static org.apache.spark.sql.functions.substring;
import static org.apache.spark.sql.functions.sum;
import static org.apache.spark.sql.functions.udaf;
import static org.apache.spark.sql.functions.when;

import dev.moontide.api.MoontideException;
import dev.moontide.spark.ErrorReason;
import dev.moontide.spark.JobOptions;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Observation;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.expressions.UserDefinedFunction;

/**
 * Counts a job's answers while they are written. Spark takes each partition's counts from the one
 * attempt whose rows it commits, so that retries and speculative copies count once, and no second
 * pass over the output is needed.
 */
final class Tally {
  private final Observation observation = new Observation();
  private final JobOptions options;

  Tally(JobOptions options) {
    this.options = options;
  }

  /**
   * The counts of a finished write.
   *
   * @param rows written
   * @param prompts asked, where that is not one a row
   * @param accuracy absent where no row has a truth
   * @param perplexity absent where no token was scored
   */
  record Counts(
      long rows,
      Optional<Long> prompts,
      long errors,
      long promptTokens,
      long cachedTokens,
      long completionTokens,
      Map<String, Long> reasons,
      Optional<Map<String, Long>> labels,
      Optional<Accuracy> accuracy,
      Optional<Perplexity> perplexity) {
    /** Answers that were computed or reused. */
    long asked() {
      return prompts.orElse(rows);
    }
  }

  /**
   * How many labels were right.
   *
   * @param correct rows whose label is the truth
   * @param rows rows with a truth; an error row with one counts as wrong
   */
  record Accuracy(long correct, long rows) {
    double value() {
      return correct / (double) rows;
    }
  }

  /**
   * The model's surprise over all rows.
   *
   * @param logprob summed
   * @param tokens whose log-probabilities were summed
   */
  record Perplexity(double logprob, long tokens) {
    double value() {
      return Math.exp(-logprob / tokens);
    }
  }

  /** {@code answers}, counted as they pass. */
  Dataset<Row> over(Dataset<Row> answers) {
    UserDefinedFunction textCounts = udaf(new TextCounts(), Encoders.STRING());
    List<Column> counts = new ArrayList<>();
    counts.add(count(answer("error")).as("errors"));
    counts.add(sum(answer("prompt_tokens")).as("prompt_tokens"));
    counts.add(sum(answer("cached_tokens")).as("cached_tokens"));
    counts.add(sum(answer("completion_tokens")).as("completion_tokens"));
    counts.add(textCounts.apply(reason()).as("reasons"));
    switch (options.task()) {
      case LABEL -> {
        counts.add(textCounts.apply(answer("label")).as("labels"));
        truth()
            .ifPresent(
                truth -> {
                  counts.add(count(truth).as("truths"));
                  counts.add(count(when(truth.equalTo(answer("label")), 1)).as("correct"));
                });
      }
      case SCORE -> {
        counts.add(sum(answer("logprob")).as("logprob"));
        counts.add(sum(size(answer("token_logprobs"))).as("tokens"));
      }
      case GENERATE -> {}
    }
    return answers.observe(observation, count(lit(1)).as("rows"), counts.toArray(Column[]::new));
  }

  /** A row's error without what differs between rows: what is quoted, and numbers. */
  private Column reason() {
    Column general =
        regexp_replace(
            regexp_replace(answer("error"), ErrorReason.QUOTED, ErrorReason.FOR_QUOTED),
            ErrorReason.NUMBER,
            ErrorReason.FOR_NUMBER);
    return substring(general, 1, ErrorReason.LENGTH);
  }

  private Optional<Column> truth() {
    return Optional.ofNullable(options.output().truthColumn())
        .map(name -> col(DatasetReader.quoted(name)).cast("string"));
  }

  private Column answer(String name) {
    return col(DatasetReader.quoted(options.output().prefix() + name));
  }

  /** The counts, once the dataset was written. */
  Counts counts() {
    Map<String, Object> observed = observed(observation);
    return new Counts(
        number(observed, "rows"),
        Optional.empty(),
        number(observed, "errors"),
        number(observed, "prompt_tokens"),
        number(observed, "cached_tokens"),
        number(observed, "completion_tokens"),
        texts(observed, "reasons").orElse(Map.of()),
        texts(observed, "labels"),
        Optional.of(new Accuracy(number(observed, "correct"), number(observed, "truths")))
            .filter(accuracy -> accuracy.rows() > 0),
        observed.get("logprob") instanceof Double logprob
            ? Optional.of(new Perplexity(logprob, number(observed, "tokens")))
                .filter(perplexity -> perplexity.tokens() > 0)
            : Optional.empty());
  }

  private static Optional<Map<String, Long>> texts(Map<String, Object> observed, String name) {
    return observed.get(name) instanceof String json
        ? Optional.of(TextCounts.read(json))
        : Optional.empty();
  }

  /** What was observed of a finished write. */
  static Map<String, Object> observed(Observation observation) {
    try {
      return observation.getAsJava();
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      throw MoontideException.engine("interrupted before the counts of the output were there");
    }
  }

  /** A sum over no rows is null. */
  static long number(Map<String, Object> observed, String name) {
    return observed.get(name) instanceof Long value ? value : 0;
  }
}
