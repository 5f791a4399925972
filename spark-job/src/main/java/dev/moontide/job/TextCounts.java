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
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.spark.sql.Encoder;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.expressions.Aggregator;
import org.jspecify.annotations.Nullable;

/**
 * Counts the rows of each text, null not counted: an aggregate whose result is a JSON object, most
 * frequent first. Texts beyond the first {@link #BOUND} are counted together, as {@link #OTHERS}.
 */
final class TextCounts extends Aggregator<String, Map<String, Long>, String> {
  /** Different texts that are counted apart. */
  static final int BOUND = 10_000;

  /** What the others are counted as. */
  static final String OTHERS = "(others)";

  private static final long serialVersionUID = 1L;
  private static final ObjectMapper JSON = new ObjectMapper();

  @Override
  public Map<String, Long> zero() {
    return new HashMap<>();
  }

  @Override
  public Map<String, Long> reduce(Map<String, Long> counts, @Nullable String text) {
    if (text != null) {
      add(counts, text, 1);
    }
    return counts;
  }

  @Override
  public Map<String, Long> merge(Map<String, Long> counts, Map<String, Long> others) {
    others.forEach((text, rows) -> add(counts, text, rows));
    return counts;
  }

  private static void add(Map<String, Long> counts, String text, long rows) {
    boolean known = counts.size() < BOUND || counts.containsKey(text);
    counts.merge(known ? text : OTHERS, rows, Long::sum);
  }

  @Override
  public String finish(Map<String, Long> counts) {
    Map<String, Long> ordered = new LinkedHashMap<>();
    counts.entrySet().stream()
        .sorted(
            Map.Entry.<String, Long>comparingByValue(Comparator.reverseOrder())
                .thenComparing(Map.Entry.comparingByKey()))
        .forEach(entry -> ordered.put(entry.getKey(), entry.getValue()));
    try {
      return JSON.writeValueAsString(ordered);
    } catch (JsonProcessingException impossible) {
      throw new IllegalStateException(impossible);
    }
  }

  /** Reads what {@link #finish} wrote. */
  static Map<String, Long> read(String json) {
    try {
      return JSON.readValue(json, new TypeReference<LinkedHashMap<String, Long>>() {});
    } catch (JsonProcessingException impossible) {
      throw new IllegalStateException(impossible);
    }
  }

  @Override
  @SuppressWarnings("unchecked")
  public Encoder<Map<String, Long>> bufferEncoder() {
    return (Encoder<Map<String, Long>>) (Encoder<?>) Encoders.javaSerialization(Map.class);
  }

  @Override
  public Encoder<String> outputEncoder() {
    return Encoders.STRING();
  }
}
