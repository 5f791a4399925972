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
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.api.MoontideException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.apache.spark.Dependency;
import org.apache.spark.ShuffleDependency;
import org.apache.spark.SparkConf;
import org.apache.spark.rdd.RDD;
import org.apache.spark.resource.ResourceProfile;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.Test;
import scala.jdk.javaapi.CollectionConverters;

class EngineResourcesTest extends SqlTest {
  private static void assertRefused(String text, String message) {
    MoontideException refusal =
        assertThrows(MoontideException.class, () -> EngineResources.parse(text));
    assertTrue(String.valueOf(refusal.getMessage()).contains(message), refusal::getMessage);
  }

  @Test
  void whatIsAskedForBecomesAProfile() {
    SparkConf application =
        new SparkConf(false).set("spark.executor.resource.gpu.discoveryScript", "/find.sh");
    ResourceProfile profile =
        EngineResources.parse("gpu=1, cores=8, memory=16g, overhead=200g").profile(application);
    var executor = profile.executorResourcesJMap();
    assertEquals(8, Objects.requireNonNull(executor.get("cores")).amount());
    assertEquals(16 << 10, Objects.requireNonNull(executor.get("memory")).amount());
    assertEquals(200 << 10, Objects.requireNonNull(executor.get("memoryOverhead")).amount());
    assertEquals(1, Objects.requireNonNull(executor.get("gpu")).amount());
    assertEquals("/find.sh", Objects.requireNonNull(executor.get("gpu")).discoveryScript());
    var task = profile.taskResourcesJMap();
    assertEquals(0.125, Objects.requireNonNull(task.get("gpu")).amount());
    for (Map.Entry<String, Double> part :
        Map.of("gpu=4,cores=32", 0.125, "gpu=2,cores=3", 1.0, "gpu=4,cores=4", 1.0).entrySet()) {
      assertEquals(
          part.getValue(),
          Objects.requireNonNull(
                  EngineResources.parse(part.getKey())
                      .profile(application)
                      .taskResourcesJMap()
                      .get("gpu"))
              .amount());
    }
    assertNull(
        EngineResources.parse("cores=4").profile(application).taskResourcesJMap().get("gpu"));

    assertRefused("8 cores", "allowed is e.g. gpu=1,cores=8");
    assertRefused("gpus=1,cores=8", "did you mean gpu?");
    assertRefused("cores=0", "cores=0: allowed is at least 0 and 1");
    assertRefused("cores=1,memory=much", "memory is much");
  }

  /** RDDs that one stage has with {@code last}, and of the stages before it the last ones. */
  private static List<RDD<?>> stage(RDD<?> last, List<RDD<?>> before) {
    List<RDD<?>> all = new ArrayList<>(List.of(last));
    for (Dependency<?> dependency : CollectionConverters.asJava(last.dependencies())) {
      if (dependency instanceof ShuffleDependency<?, ?, ?>) {
        before.add(dependency.rdd());
      } else {
        all.addAll(stage(dependency.rdd(), before));
      }
    }
    return all;
  }

  @Test
  void rowsAreComputedInAStageBetweenReadingAndWriting() {
    session().conf().set("spark.sql.adaptive.enabled", "false");
    Dataset<Row> rows = session().table("t");
    Dataset<Row> computed =
        Moontide.inStageOfItsOwn(
            rows.as(InternalRows.encoder(rows.schema())),
            new InternalRowsTest.ThroughArrow(rows.schema()),
            rows.schema(),
            stage -> {
              stage.setName("given GPUs");
              return stage;
            });
    List<RDD<?>> before = new ArrayList<>();
    List<RDD<?>> writing = stage(computed.queryExecution().toRdd(), before);
    assertEquals(1, before.size());
    List<RDD<?>> reading = new ArrayList<>();
    List<RDD<?>> computing = stage(before.get(0), reading);
    assertTrue(computing.stream().anyMatch(rdd -> "given GPUs".equals(rdd.name())));
    assertFalse(writing.stream().anyMatch(rdd -> "given GPUs".equals(rdd.name())));
    assertEquals(1, reading.size());
    assertEquals(12, computed.distinct().count());
    assertEquals(rows.schema(), computed.schema());
    session().conf().unset("spark.sql.adaptive.enabled");
  }

  @Test
  void aClusterThatCannotGiveThemIsToldFromTheStart() {
    JobOptions options =
        JobOptions.fromMap(
            Map.of("model", "m", "text-column", "text", "engine-resources", "gpu=1,cores=2"));
    MoontideException refusal =
        assertThrows(
            MoontideException.class,
            () -> Moontide.with(options, new FakeModel()).transform(session().table("t")));
    assertEquals(MoontideException.Category.CONFIGURATION, refusal.category());
    assertTrue(
        String.valueOf(refusal.getMessage()).contains("spark.dynamicAllocation.enabled=true"),
        refusal::getMessage);
  }
}
