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
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.api.MoontideException;
import java.util.HashMap;
import java.util.Map;
import org.apache.spark.SparkConf;
import org.junit.jupiter.api.Test;

/** One engine an executor: that of the configuration its application started with. */
class ApplicationEngineTest extends SqlTest {
  private static final String REFUSED =
      "the engine of /models/fake has the options that this application started with: %s; leave it"
          + " out, or start the application with it as spark.moontide.*";

  private static ModelOptions serving(String... options) {
    Map<String, String> given = new HashMap<>(Map.of("prompt", "x", "model", "/models/fake"));
    for (int i = 0; i < options.length; i += 2) {
      given.put(options[i], options[i + 1]);
    }
    return JobOptions.fromMap(given).onExecutorsOf(session().sparkContext()).model();
  }

  private static String refusal(String... options) {
    MoontideException refusal = assertThrows(MoontideException.class, () -> serving(options));
    assertEquals(MoontideException.Category.CONFIGURATION, refusal.category());
    return String.valueOf(refusal.getMessage());
  }

  @Test
  void whatAProgramLeavesOpenIsTheApplications() {
    assertEquals(8L << 30, serving().kvCacheBytes());
    assertEquals(serving(), serving("kv-cache-memory", "8192m"));
    ModelOptions another = serving("model", "/models/other");
    assertEquals(8L << 30, another.kvCacheBytes());
    assertEquals(1 << 20, serving("model", "/models/other", "kvCacheMemory", "1m").kvCacheBytes());
  }

  @Test
  void aSecondEngineOfTheModelIsRefusedByBothValues() {
    assertEquals(
        REFUSED.formatted("kv-cache-memory is 4g here, 8g there"),
        refusal("kv-cache-memory", "4g"));
    assertEquals(
        REFUSED.formatted("dtype is f32 here, auto there; model-cache is /x here, not given there"),
        refusal("dtype", "f32", "model-cache", "/x"));
    refused(
        "SELECT ai_gen(text, map('max_sequences', '16')) FROM t",
        REFUSED.formatted("max-sequences is 16 here, 256 there"));
    session().conf().set("spark.moontide.kv-cache-memory", "1000");
    session().conf().unset("spark.moontide.kvCacheMemory");
    try {
      refused(
          "SELECT ai_gen(text) FROM t",
          REFUSED.formatted("kv-cache-memory is 1000 here, 8g there"));
    } finally {
      session().conf().unset("spark.moontide.kv-cache-memory");
      session().conf().set("spark.moontide.kvCacheMemory", "8g");
    }
    check(
        "SELECT ai_gen(text, map('model', '/models/other', 'max_sequences', '16')) FROM few",
        list("B2 C3"),
        list("b2 c3"));
  }

  @Test
  void aJobsExecutorsStartWithItsOptionsHoweverTheyWereSpelled() {
    SparkConf application =
        new SparkConf(false)
            .set("spark.moontide.model", "/models/fake")
            .set("spark.moontide.kv_cache_memory", "8g")
            .set("spark.moontide.maxSequences", "64")
            .set("spark.moontide.preload", "true");
    Map<String, String> options =
        SessionOptions.of(application)
            .beneath(Map.of("kv-cache-memory", "4g", "max-model-len", "100", "max-tokens", "5"));
    SessionOptions.setForExecutors(application, options);
    SessionOptions executors = SessionOptions.of(application);
    assertEquals(
        Map.of(
            "model", "/models/fake",
            "kv-cache-memory", "4g",
            "max-sequences", "64",
            "max-model-len", "100"),
        executors.given());
    assertEquals("100", application.get("spark.moontide.maxModelLen"));
    options.put("prompt", "x");
    assertEquals(JobOptions.fromMap(options).model(), executors.model().orElseThrow());
  }

  @Test
  void whereStagesHaveExecutorsOfTheirOwnNothingIsLoadedAheadUnlessThatIsSaid() {
    Map<String, String> configuration = new HashMap<>();
    assertTrue(SessionOptions.of(configuration).isPreloaded());
    configuration.put("spark.moontide.engineResources", "cores=2");
    assertFalse(SessionOptions.of(configuration).isPreloaded());
    configuration.put("spark.moontide.preload", "true");
    assertTrue(SessionOptions.of(configuration).isPreloaded());
  }

  @Test
  void modelOptionsAreReadAsTheyAreWritten() {
    ModelOptions model = serving("threads", "3", "model", "/m", "kv-cache-memory", "1537k");
    assertEquals("1537k", model.toMap().get("kv-cache-memory"));
    assertEquals(model, ModelOptions.fromMap(model.toMap()));
  }
}
