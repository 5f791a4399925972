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

import org.apache.spark.api.plugin.DriverPlugin;
import org.apache.spark.api.plugin.ExecutorPlugin;
import org.apache.spark.api.plugin.SparkPlugin;

/**
 * With {@code spark.plugins=dev.moontide.spark.MoontidePlugin} an executor begins to load the
 * engine of {@code spark.moontide.model} when it starts (unless {@code
 * spark.moontide.preload=false}), closes its engines when it ends, and reports what they do to
 * Spark's metrics system.
 */
public final class MoontidePlugin implements SparkPlugin {
  @Override
  public DriverPlugin driverPlugin() {
    return new EngineDriver();
  }

  @Override
  public ExecutorPlugin executorPlugin() {
    return new EngineExecutor();
  }
}
