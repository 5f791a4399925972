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

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.spark.SparkContext;
import org.apache.spark.api.plugin.DriverPlugin;
import org.apache.spark.api.plugin.PluginContext;
import org.jspecify.annotations.Nullable;

/**
 * The plugin on the driver: checks the options before any executor starts, and sums what they do.
 */
final class EngineDriver implements DriverPlugin {
  /** Names, in what the driver tells executors, where these find the model. */
  static final String MODEL = "model";

  private final Map<String, EngineTotals> byExecutor = new ConcurrentHashMap<>();

  /**
   * Fails the application where its options are wrong.
   *
   * @throws dev.moontide.api.MoontideException of category configuration
   */
  @Override
  public Map<String, String> init(SparkContext context, PluginContext plugin) {
    SessionOptions options = SessionOptions.of(plugin.conf());
    options.isPreloaded();
    return options
        .model()
        .map(model -> Map.of(MODEL, model.onExecutorsOf(context).location()))
        .orElse(Map.of());
  }

  @Override
  public void registerMetrics(String application, PluginContext plugin) {
    EngineTotals.register(plugin.metricRegistry(), "cluster.", this::total);
  }

  EngineTotals total() {
    return byExecutor.values().stream().reduce(EngineTotals.ZERO, EngineTotals::plus);
  }

  @Override
  public @Nullable Object receive(Object message) {
    if (message instanceof EngineTotals.OfExecutor report) {
      byExecutor.put(report.executor(), report.totals());
    }
    return null; // Spark warns of a reply, as none is expected.
  }
}
