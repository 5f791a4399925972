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
package dev.moontide.spark.sql;

import dev.moontide.spark.JobMetrics;
import java.io.Serializable;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.spark.sql.execution.metric.SQLMetric;
import org.jspecify.annotations.Nullable;

/** The figures of an Inference node in Spark's UI, as its tasks add to them. */
final class InferenceMetrics implements Serializable {
  private static final long serialVersionUID = 1L;

  private static final String ROWS = "numOutputRows";
  private static final String PROMPTS = "prompts";
  private static final String REUSED = "reusedPrompts";
  private static final String ERRORS = "errors";
  private static final String PROMPT_TOKENS = "promptTokens";
  private static final String CACHED_TOKENS = "cachedTokens";
  private static final String COMPLETION_TOKENS = "completionTokens";

  /** In milliseconds, summed over tasks. */
  static final String ENGINE_TIME = "engineTime";

  /** Counts, with the names the UI shows. */
  static final Map<String, String> NAMES = new LinkedHashMap<>();

  static {
    NAMES.put(ROWS, "number of output rows");
    NAMES.put(PROMPTS, "prompts");
    NAMES.put(REUSED, "prompts answered before");
    NAMES.put(ERRORS, "prompts that failed");
    NAMES.put(PROMPT_TOKENS, "prompt tokens");
    NAMES.put(CACHED_TOKENS, "prompt tokens from the prefix cache");
    NAMES.put(COMPLETION_TOKENS, "completion tokens");
  }

  private final HashMap<String, SQLMetric> metrics;
  private final @Nullable JobMetrics session;

  /**
   * @param session those of all the session's nodes, if someone watches them
   */
  InferenceMetrics(Map<String, SQLMetric> metrics, @Nullable JobMetrics session) {
    this.metrics = new HashMap<>(metrics);
    this.session = session;
  }

  void addRow() {
    add(ROWS, 1);
  }

  void add(JobMetrics.Snapshot counts) {
    add(PROMPTS, counts.rows());
    add(REUSED, counts.reused());
    add(ERRORS, counts.errors());
    add(PROMPT_TOKENS, counts.promptTokens());
    add(CACHED_TOKENS, counts.cachedTokens());
    add(COMPLETION_TOKENS, counts.completionTokens());
    add(ENGINE_TIME, Math.round(counts.engineSeconds() * 1e3));
    if (session != null) {
      session.add(counts);
    }
  }

  private void add(String name, long count) {
    SQLMetric metric = metrics.get(name);
    if (metric != null) {
      metric.add(count);
    }
  }
}
