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

import com.codahale.metrics.Gauge;
import com.codahale.metrics.MetricRegistry;
import dev.moontide.engine.Engine;
import dev.moontide.engine.EngineStatistics;
import java.io.Serializable;
import java.util.function.Supplier;
import java.util.function.ToDoubleFunction;

/**
 * What engines have done since they were loaded, and what it took to load them.
 *
 * @param engines loaded
 * @param loadSeconds time to load them
 * @param loadedBytes of their checkpoints
 * @param promptTokens of finished requests
 * @param cachedTokens of those, taken from the prefix cache
 * @param completionTokens generated
 * @param preemptions sequences computed again for want of cache
 * @param prefillSeconds in steps with prompt tokens
 * @param decodeSeconds in the others
 */
record EngineTotals(
    long engines,
    double loadSeconds,
    long loadedBytes,
    long promptTokens,
    long cachedTokens,
    long completionTokens,
    long preemptions,
    double prefillSeconds,
    double decodeSeconds)
    implements Serializable {

  static final EngineTotals ZERO = new EngineTotals(0, 0, 0, 0, 0, 0, 0, 0, 0);

  /** What an executor tells the driver. */
  record OfExecutor(String executor, EngineTotals totals) implements Serializable {}

  /** The totals of this JVM's engines. */
  static EngineTotals ofThisJvm() {
    return Engine.sharedStatistics().stream()
        .map(EngineTotals::of)
        .reduce(ZERO, EngineTotals::plus);
  }

  private static EngineTotals of(EngineStatistics engine) {
    return new EngineTotals(
        1,
        engine.loadSeconds(),
        engine.loadedBytes(),
        engine.promptTokens(),
        engine.cachedTokens(),
        engine.completionTokens(),
        engine.preemptions(),
        engine.prefillSeconds(),
        engine.decodeSeconds());
  }

  EngineTotals plus(EngineTotals other) {
    return new EngineTotals(
        engines + other.engines,
        loadSeconds + other.loadSeconds,
        loadedBytes + other.loadedBytes,
        promptTokens + other.promptTokens,
        cachedTokens + other.cachedTokens,
        completionTokens + other.completionTokens,
        preemptions + other.preemptions,
        prefillSeconds + other.prefillSeconds,
        decodeSeconds + other.decodeSeconds);
  }

  /** Registers a gauge for each figure, which reads {@code totals} when it is asked. */
  static void register(MetricRegistry registry, String prefix, Supplier<EngineTotals> totals) {
    gauge(registry, prefix + "engines", totals, EngineTotals::engines);
    gauge(registry, prefix + "loadSeconds", totals, EngineTotals::loadSeconds);
    gauge(registry, prefix + "loadedBytes", totals, EngineTotals::loadedBytes);
    gauge(registry, prefix + "promptTokens", totals, EngineTotals::promptTokens);
    gauge(registry, prefix + "cachedTokens", totals, EngineTotals::cachedTokens);
    gauge(registry, prefix + "completionTokens", totals, EngineTotals::completionTokens);
    gauge(registry, prefix + "preemptions", totals, EngineTotals::preemptions);
    gauge(registry, prefix + "prefillSeconds", totals, EngineTotals::prefillSeconds);
    gauge(registry, prefix + "decodeSeconds", totals, EngineTotals::decodeSeconds);
  }

  private static void gauge(
      MetricRegistry registry,
      String name,
      Supplier<EngineTotals> totals,
      ToDoubleFunction<EngineTotals> figure) {
    Gauge<Double> gauge = () -> figure.applyAsDouble(totals.get());
    registry.register(name, gauge);
  }
}
