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

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.moontide.spark.JobMetrics;
import java.util.Locale;
import java.util.Map;
import java.util.StringJoiner;

/**
 * The report of a finished job.
 *
 * @param command that ran
 * @param output the folder it wrote
 * @param counts of the rows written
 * @param metrics where the tasks' time went
 * @param seconds wall time by phase, {@link #COMPUTE} among them
 * @param lineage what the output was made of
 */
record Summary(
    String command,
    String output,
    Tally.Counts counts,
    JobMetrics.Snapshot metrics,
    Map<String, Double> seconds,
    ObjectNode lineage) {
  /** The phase that reads, computes and writes the rows. */
  static final String COMPUTE = "compute";

  private static final ObjectMapper JSON = new ObjectMapper();
  private static final int LISTED = 10;

  /** For {@code _moontide/summary.json}. */
  String json() {
    ObjectNode json = JSON.createObjectNode();
    json.put("command", command);
    json.put("rows", counts.rows());
    counts.prompts().ifPresent(prompts -> json.put("prompts", prompts));
    json.put("errors", counts.errors());
    json.put("computed", computed());
    json.put("reused", reused());
    json.put("prompt_tokens", counts.promptTokens());
    json.put("cached_tokens", counts.cachedTokens());
    json.put("completion_tokens", counts.completionTokens());
    json.put("tokens_per_second", tokensPerSecond());
    ObjectNode wall = json.putObject("seconds");
    seconds.forEach((phase, value) -> wall.put(phase, rounded(value)));
    ObjectNode tasks = json.putObject("task_seconds");
    tasks.put("prompts", rounded(metrics.promptSeconds()));
    tasks.put("engine", rounded(metrics.engineSeconds()));
    tasks.put("arrow", rounded(metrics.arrowSeconds()));
    tasks.put("store", rounded(metrics.storeSeconds()));
    if (counts.errors() > 0) {
      json.set("error_reasons", JSON.valueToTree(counts.reasons()));
    }
    counts.labels().ifPresent(labels -> json.set("labels", JSON.valueToTree(labels)));
    counts
        .accuracy()
        .ifPresent(
            accuracy -> {
              json.put("accuracy", accuracy.value());
              json.put("correct", accuracy.correct());
              json.put("truths", accuracy.rows());
            });
    counts.perplexity().ifPresent(perplexity -> json.put("perplexity", perplexity.value()));
    json.set("lineage", lineage);
    try {
      return JSON.writerWithDefaultPrettyPrinter().writeValueAsString(json) + "\n";
    } catch (JsonProcessingException impossible) {
      throw new IllegalStateException(impossible);
    }
  }

  /** For people. */
  String text() {
    StringBuilder text = new StringBuilder();
    if (counts.prompts().isPresent()) {
      line(text, "rows", "%,d", counts.rows());
    }
    line(
        text,
        counts.prompts().isPresent() ? "prompts" : "rows",
        reused() == 0 ? "%,d" : "%,d (%,d computed, %,d finished before or equal to another)",
        counts.asked(),
        computed(),
        reused());
    line(text, "errors", "%,d", counts.errors());
    list(text, counts.reasons());
    line(
        text,
        "tokens",
        "%,d in (%,d of them cached), %,d out, %,.0f a second",
        counts.promptTokens(),
        counts.cachedTokens(),
        counts.completionTokens(),
        tokensPerSecond());
    StringJoiner phases = new StringJoiner(", ");
    seconds.forEach((phase, value) -> phases.add(phase + " " + format("%.1f s", value)));
    line(text, "time", "%s", phases);
    line(
        text,
        "in tasks",
        "prompts %.1f s, engine %.1f s, arrow %.1f s, store %.1f s",
        metrics.promptSeconds(),
        metrics.engineSeconds(),
        metrics.arrowSeconds(),
        metrics.storeSeconds());
    counts
        .labels()
        .ifPresent(
            labels -> {
              line(text, "labels", "%,d different", labels.size());
              list(text, labels);
            });
    counts
        .accuracy()
        .ifPresent(
            accuracy ->
                line(
                    text,
                    "accuracy",
                    "%.4f (%,d of %,d)",
                    accuracy.value(),
                    accuracy.correct(),
                    accuracy.rows()));
    counts
        .perplexity()
        .ifPresent(perplexity -> line(text, "perplexity", "%.4f", perplexity.value()));
    line(text, "output", "%s", output);
    return text.toString();
  }

  /** Answers of this run: an error row was not asked. */
  private long computed() {
    return Math.max(0, counts.asked() - reused() - counts.errors());
  }

  /** A stage that Spark repeats counts its rows again. */
  private long reused() {
    return Math.min(metrics.reused(), counts.asked());
  }

  private double tokensPerSecond() {
    long tokens = counts.promptTokens() + counts.completionTokens();
    return rounded(tokens / Math.max(seconds.getOrDefault(COMPUTE, 0.0), 1e-3));
  }

  private static double rounded(double value) {
    return Math.round(value * 1000) / 1000.0;
  }

  private static void line(StringBuilder text, String name, String format, Object... values) {
    text.append(format("%-12s", name)).append(format(format, values)).append('\n');
  }

  private static void list(StringBuilder text, Map<String, Long> counts) {
    counts.entrySet().stream()
        .limit(LISTED)
        .forEach(
            entry -> text.append(format("%12s%,8d  %s%n", "", entry.getValue(), entry.getKey())));
    if (counts.size() > LISTED) {
      text.append(format("%12s%8s  and %,d more%n", "", "", counts.size() - LISTED));
    }
  }

  private static String format(String format, Object... values) {
    return String.format(Locale.ROOT, format, values);
  }
}
