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

import dev.moontide.api.EngineOptions;
import dev.moontide.engine.Engine;
import java.io.IOException;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.apache.spark.api.plugin.ExecutorPlugin;
import org.apache.spark.api.plugin.PluginContext;
import org.apache.spark.resource.ResourceInformation;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The plugin on an executor. It loads on a thread of its own: the executor must send its first
 * heartbeat within two minutes, however long a checkpoint takes. Tasks that come meanwhile wait for
 * the same load. What goes wrong here is told to the tasks; an exception from {@link #init} would
 * have Spark start the executor again and again.
 */
final class EngineExecutor implements ExecutorPlugin {
  private static final Logger LOG = LoggerFactory.getLogger(EngineExecutor.class);
  private static final int REPORT_SECONDS = 10;

  private final ThreadFactory daemons =
      task -> {
        Thread thread = new Thread(task, "moontide-plugin");
        thread.setDaemon(true);
        return thread;
      };
  private final ExecutorService loading = Executors.newSingleThreadExecutor(daemons);
  private final ScheduledExecutorService reporting =
      Executors.newSingleThreadScheduledExecutor(daemons);
  private final Consumer<EngineOptions> engines;
  private @Nullable PluginContext context;

  EngineExecutor() {
    this(Engine::shared);
  }

  /**
   * @param engines loads one
   */
  EngineExecutor(Consumer<EngineOptions> engines) {
    this.engines = engines;
  }

  @Override
  public void init(PluginContext plugin, Map<String, String> extra) {
    context = plugin;
    EngineTotals.register(plugin.metricRegistry(), "", EngineTotals::ofThisJvm);
    // Never waited for: a report throws nothing, and shutdown ends them.
    Future<?> unused =
        reporting.scheduleWithFixedDelay(
            this::report, REPORT_SECONDS, REPORT_SECONDS, TimeUnit.SECONDS);
    try {
      SessionOptions options = SessionOptions.of(plugin.conf());
      if (options.isPreloaded()) {
        options
            .model()
            .map(model -> model.in(extra.getOrDefault(EngineDriver.MODEL, model.location())))
            .ifPresent(model -> loadOnEach(model, plugin.resources()));
      }
    } catch (RuntimeException e) {
      LOG.error("nothing is loaded ahead: {}", e.getMessage());
    }
  }

  /** Tasks take the engine of the GPU they are given, which is any of the executor's. */
  private void loadOnEach(ModelOptions model, Map<String, ResourceInformation> resources) {
    EngineSource.gpus(model, resources).forEach(gpu -> loading.execute(() -> load(model, gpu)));
  }

  private void load(ModelOptions model, int gpu) {
    try {
      LOG.info("loading {} for GPU {} or the CPU ahead of the first task", model.location(), gpu);
      EngineOptions options = EngineSource.engineOptions(model).withGpu(gpu);
      CheckpointText.of(options.model());
      engines.accept(options);
    } catch (RuntimeException | Error e) {
      // Logged, and thrown by each task that needs it.
      LOG.error("{} cannot be loaded", model.location(), e);
      LoadFailures.remember(model, gpu, e);
    }
  }

  private void report() {
    PluginContext plugin = context;
    if (plugin == null) {
      return;
    }
    try {
      plugin.send(new EngineTotals.OfExecutor(plugin.executorID(), EngineTotals.ofThisJvm()));
    } catch (IOException | RuntimeException e) {
      LOG.debug("the driver was not told what the engine does", e);
    }
  }

  @Override
  public void shutdown() {
    reporting.shutdownNow();
    loading.shutdownNow();
    report();
    Engine.closeShared();
    LoadFailures.forget();
  }
}
