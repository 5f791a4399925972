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
import dev.moontide.api.MoontideException;
import dev.moontide.engine.Engine;
import java.nio.file.Files;
import java.util.Map;
import org.apache.spark.TaskContext;
import org.apache.spark.resource.ResourceInformation;
import org.apache.spark.sql.types.StructType;

/** The executor's engine, which its first task loads and all its tasks share. */
final class EngineSource implements Inference.Source {
  private static final long serialVersionUID = 1L;

  @Override
  public void check(JobOptions options, StructType schema, boolean isLocal) {
    EngineOptions engine = options.model().engineOptions();
    if (Files.isDirectory(engine.model())) {
      int maxModelLength = Engine.maxModelLength(engine);
      new RowPrompter(options, schema, CheckpointText.of(engine.model()), maxModelLength);
    } else if (isLocal) {
      throw MoontideException.configuration(
          "model is %s: allowed is a checkpoint's folder, and there is none", engine.model());
    }
  }

  @Override
  public Inference open(JobOptions options, StructType schema) {
    TaskContext task = TaskContext.get();
    EngineOptions engineOptions =
        options
            .model()
            .engineOptions()
            .withGpu(gpu(task == null ? Map.of() : task.resourcesJMap()));
    LoadFailures.throwIfFailed(engineOptions);
    // The tokenizer first: what is wrong with it shows before the weights are read.
    CheckpointText checkpoint = CheckpointText.of(engineOptions.model());
    Engine engine = Engine.shared(engineOptions);
    return new Inference(
        new RowPrompter(options, schema, checkpoint, engine.maxModelLength()), engine::generate);
  }

  /**
   * The GPU among a task's or an executor's resources ({@code spark.task.resource.gpu.amount}),
   * else the first.
   */
  static int gpu(Map<String, ResourceInformation> resources) {
    ResourceInformation gpus = resources.get("gpu");
    if (gpus == null || gpus.addresses().length == 0) {
      return 0;
    }
    String address = gpus.addresses()[0];
    if (!address.matches("\\d{1,4}")) {
      throw MoontideException.configuration(
          "the task's gpu address is %s: allowed is a device's number; check the discovery script"
              + " (spark.executor.resource.gpu.discoveryScript)",
          address);
    }
    return Integer.parseInt(address);
  }
}
