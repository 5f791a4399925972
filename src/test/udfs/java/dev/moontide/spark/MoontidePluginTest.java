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
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.codahale.metrics.MetricRegistry;
import dev.moontide.api.MoontideException;
import dev.moontide.engine.Engine;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.apache.spark.SparkConf;
import org.apache.spark.api.plugin.DriverPlugin;
import org.apache.spark.api.plugin.ExecutorPlugin;
import org.apache.spark.api.plugin.PluginContext;
import org.apache.spark.resource.ResourceInformation;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(120)
class MoontidePluginTest {
  private static final String MODEL =
      Path.of(System.getProperty("moontide.root"), "examples/models/tiny-k2-instruct")
          .toAbsolutePath()
          .normalize()
          .toString();
  private static final StructType TEXT = new StructType().add("text", DataTypes.StringType);

  /** What Spark gives a plugin. */
  private static final class Context implements PluginContext {
    final MetricRegistry registry = new MetricRegistry();
    final SparkConf conf = new SparkConf(false);
    final List<Object> sent = new ArrayList<>();
    final String[] gpus;

    Context(Map<String, String> options, String... gpus) {
      this.gpus = gpus;
      options.forEach((name, value) -> conf.set("spark.moontide." + name, value));
    }

    @Override
    public MetricRegistry metricRegistry() {
      return registry;
    }

    @Override
    public SparkConf conf() {
      return conf;
    }

    @Override
    public String executorID() {
      return "7";
    }

    @Override
    public String hostname() {
      throw new NullPointerException("as on executors");
    }

    @Override
    public Map<String, ResourceInformation> resources() {
      return gpus.length == 0 ? Map.of() : Map.of("gpu", new ResourceInformation("gpu", gpus));
    }

    @Override
    public void send(Object message) {
      sent.add(message);
    }

    @Override
    public Object ask(Object message) {
      throw new UnsupportedOperationException("not asked");
    }

    double gauge(String name) {
      return (Double) Objects.requireNonNull(registry.getGauges().get(name), name).getValue();
    }
  }

  private static JobOptions label(String model) {
    return JobOptions.fromMap(
        Map.of("task", "label", "model", model, "labels", "a,b", "backend", "cpu", "dtype", "f32"));
  }

  private static Throwable failureOfTask(String model) throws InterruptedException {
    EngineSource tasks = new EngineSource();
    while (true) {
      MoontideException failure =
          assertThrows(MoontideException.class, () -> tasks.open(label(model), TEXT));
      if (String.valueOf(failure.getMessage()).contains("when this executor started")) {
        return failure;
      }
      Thread.sleep(20); // before the plugin's own attempt has failed a task fails by its own
    }
  }

  @Test
  void theEngineIsLoadedAheadSharedAndClosed() throws Exception {
    Context context = new Context(Map.of("model", "of-driver", "backend", "cpu", "dtype", "f32"));
    ExecutorPlugin executor = new MoontidePlugin().executorPlugin();
    executor.init(context, Map.of(EngineDriver.MODEL, MODEL));
    while (Engine.sharedStatistics().isEmpty()) {
      Thread.sleep(20);
    }
    new EngineSource().open(label(MODEL), TEXT);
    assertEquals(1, Engine.sharedStatistics().size(), "the task's engine is the plugin's");
    assertEquals(1, context.gauge("engines"));
    assertTrue(context.gauge("loadedBytes") > 1e6);
    executor.shutdown();
    assertEquals(List.of(), Engine.sharedStatistics());

    DriverPlugin driver = new MoontidePlugin().driverPlugin();
    Context onDriver = new Context(Map.of("model", MODEL));
    driver.init(null, onDriver);
    driver.registerMetrics("app", onDriver);
    EngineTotals.OfExecutor report =
        assertInstanceOf(EngineTotals.OfExecutor.class, context.sent.get(0));
    assertEquals("7", report.executor());
    assertNull(driver.receive(report));
    driver.receive(report);
    driver.receive(new EngineTotals.OfExecutor("8", report.totals()));
    assertEquals(2.0 * report.totals().engines(), onDriver.gauge("cluster.engines"));
    assertEquals(1, report.totals().engines());
  }

  private static @Nullable String failure(ModelOptions model, int gpu) {
    try {
      LoadFailures.throwIfFailed(model, gpu);
      return null;
    } catch (MoontideException failed) {
      return failed.getMessage();
    }
  }

  @Test
  void anEngineIsLoadedForEachGpuOfTheExecutor() throws Exception {
    for (String backend : List.of("cuda", "cpu")) {
      Queue<Integer> loaded = new ConcurrentLinkedQueue<>();
      EngineExecutor executor =
          new EngineExecutor(
              options -> {
                loaded.add(options.gpu());
                if (options.gpu() == 5) {
                  throw MoontideException.engine("no such device");
                }
              });
      executor.init(
          new Context(Map.of("model", MODEL, "backend", backend), "3", "0", "5"), Map.of());
      List<Integer> expected = backend.equals("cuda") ? List.of(3, 0, 5) : List.of(0);
      while (loaded.size() < expected.size()) {
        Thread.sleep(20);
      }
      assertEquals(expected, List.copyOf(loaded));
      ModelOptions model = ModelOptions.fromMap(Map.of("model", MODEL, "backend", backend));
      if (backend.equals("cuda")) {
        // The failure is that of tasks that are given this GPU.
        while (failure(model, 5) == null) {
          Thread.sleep(20);
        }
        assertNull(failure(model, 0));
        assertEquals(
            5,
            EngineSource.gpu(
                model, Map.of("gpu", new ResourceInformation("gpu", new String[] {"5"}))));
      }
      executor.shutdown();
    }
  }

  @Test
  void aModelThatCannotBeLoadedFailsTasksWithTheReasonNotTheExecutor() throws Exception {
    Context context =
        new Context(Map.of("model", "/no/such/model", "backend", "cpu", "dtype", "f32"));
    ExecutorPlugin executor = new MoontidePlugin().executorPlugin();
    executor.init(context, Map.of());
    Throwable failure = failureOfTask("/no/such/model");
    assertTrue(failure.toString().contains("/no/such/model"), failure::toString);
    executor.shutdown();
    MoontideException later =
        assertThrows(
            MoontideException.class, () -> new EngineSource().open(label("/no/such/model"), TEXT));
    assertTrue(!String.valueOf(later.getMessage()).contains("when this executor started"));
  }

  @Test
  void whatIsNotAskedForIsNotLoadedAndBadOptionsEndTheDriverOnly() {
    Context context = new Context(Map.of("model", MODEL, "preload", "false"));
    ExecutorPlugin executor = new MoontidePlugin().executorPlugin();
    executor.init(context, Map.of());
    executor.shutdown();
    assertEquals(0, context.gauge("engines"));

    Context bad = new Context(Map.of("model", MODEL, "max-sequences", "none"));
    ExecutorPlugin other = new MoontidePlugin().executorPlugin();
    other.init(bad, Map.of());
    other.shutdown();
    MoontideException refusal =
        assertThrows(
            MoontideException.class, () -> new MoontidePlugin().driverPlugin().init(null, bad));
    assertEquals("max-sequences is none: allowed is a whole number", refusal.getMessage());
  }
}
