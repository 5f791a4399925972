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
import dev.moontide.api.EngineOptions.Backend;
import dev.moontide.api.MoontideException;
import dev.moontide.api.TokenRanges;
import dev.moontide.checkpoint.CheckpointFingerprint;
import dev.moontide.engine.Engine;
import dev.moontide.model.ModelConfig;
import dev.moontide.model.TensorInventory;
import dev.moontide.spark.store.RequestKeys;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.spark.SparkEnv;
import org.apache.spark.TaskContext;
import org.apache.spark.resource.ResourceInformation;
import org.apache.spark.sql.types.StructType;
import org.jspecify.annotations.Nullable;

/** The executor's engine, which its first task loads and all its tasks share. */
final class EngineSource implements Inference.Source {
  private static final long serialVersionUID = 1L;

  /** Of the JVM's checkpoints, which do not change while they are in use. */
  private static final Map<Path, String> FINGERPRINTS = new ConcurrentHashMap<>();

  /** Those found to have every tensor. */
  private static final Set<Path> WHOLE = ConcurrentHashMap.newKeySet();

  /** Where this host's copies of remote checkpoints are, by their URIs. */
  private static final Map<String, Path> COPIES = new ConcurrentHashMap<>();

  @Override
  public void check(JobOptions options, StructType schema, boolean isLocal) {
    ModelOptions model = options.model();
    EngineOptions engine =
        model.isRemote()
            ? model.engineOptions(cache(model).withoutWeights(model.location()))
            : model.engineOptions();
    if (Files.isDirectory(engine.model())) {
      int maxModelLength = Engine.maxModelLength(engine);
      new RowPrompter(options, schema, CheckpointText.of(engine.model()), maxModelLength);
      checkTokenIds(options.sampling().allowedTokenIds(), engine.model());
      // Last, so that options are told first; what is damaged shows before any executor works.
      if (!model.isRemote() && !WHOLE.contains(engine.model())) {
        TensorInventory.check(engine.model());
        WHOLE.add(engine.model());
      }
    } else if (isLocal) {
      throw MoontideException.configuration(
          "model is %s: allowed is a checkpoint's folder, and there is none", engine.model());
    }
  }

  private static void checkTokenIds(@Nullable TokenRanges allowed, Path model) {
    if (allowed == null) {
      return;
    }
    long vocabulary = ModelConfig.load(model).vocabSize();
    if (allowed.last() >= vocabulary) {
      throw MoontideException.configuration(
          "allowed-token-ids has %d: allowed are the model's token ids, 0 to %d",
          allowed.last(), vocabulary - 1);
    }
  }

  @Override
  public Inference open(JobOptions options, StructType schema) {
    TaskContext task = TaskContext.get();
    int gpu = gpu(options.model(), task == null ? Map.of() : task.resourcesJMap());
    LoadFailures.throwIfFailed(options.model(), gpu);
    EngineOptions engineOptions = engineOptions(options.model()).withGpu(gpu);
    // The tokenizer first: what is wrong with it shows before the weights are read.
    CheckpointText checkpoint = CheckpointText.of(engineOptions.model());
    RowPrompter prompter =
        new RowPrompter(options, schema, checkpoint, Engine.maxModelLength(engineOptions));
    // The weights are loaded for the first row to compute, and not where all rows are finished.
    return new Inference(prompter, requests -> Engine.generate(engineOptions, requests));
  }

  @Override
  public RequestKeys keys(JobOptions options) {
    EngineOptions engine = engineOptions(options.model());
    String fingerprint = FINGERPRINTS.computeIfAbsent(engine.model(), CheckpointFingerprint::of);
    // Devices and types differ in their last bits: what was asked for is part of what is computed.
    String model =
        String.join(
            " ",
            fingerprint,
            engine.backend().name(),
            engine.precision().name(),
            Objects.requireNonNullElse(
                Engine.class.getPackage().getImplementationVersion(), "development"));
    return new RequestKeys(model, Engine.maxModelLength(engine));
  }

  /** The engine's options here, where a remote checkpoint is fetched first. */
  static EngineOptions engineOptions(ModelOptions model) {
    if (model.isRemote()) {
      return model.engineOptions(
          COPIES.computeIfAbsent(model.location(), uri -> cache(model).whole(uri)));
    }
    if (!Files.isDirectory(Path.of(model.location()))) {
      throw MoontideException.configuration(
          "model is %s, and the executor on %s has no such folder: allowed is a checkpoint's folder"
              + " at the same path on every executor, or a URI of a file system of Hadoop's",
          model.location(), host());
    }
    return model.engineOptions();
  }

  private static String host() {
    SparkEnv environment = SparkEnv.get();
    return environment == null ? "this host" : environment.blockManager().blockManagerId().host();
  }

  /** This host's copies of remote checkpoints. */
  static ModelCache cache(ModelOptions model) {
    String folder = model.cache();
    return new ModelCache(
        folder == null
            ? Path.of(System.getProperty("java.io.tmpdir"), "moontide-models")
            : Path.of(folder),
        HadoopConfiguration.ofSpark());
  }

  /**
   * The GPU that a task uses, of those it was given ({@code spark.task.resource.gpu.amount}).
   *
   * @param resources of the task, or of its executor
   */
  static int gpu(ModelOptions model, Map<String, ResourceInformation> resources) {
    return gpus(model, resources).get(0);
  }

  /** The GPUs among {@code resources}: the first of the machine where none are told of. */
  static List<Integer> gpus(ModelOptions model, Map<String, ResourceInformation> resources) {
    ResourceInformation gpus = resources.get("gpu");
    if (gpus == null || gpus.addresses().length == 0 || model.backend() == Backend.CPU) {
      return List.of(0);
    }
    return Arrays.stream(gpus.addresses()).map(EngineSource::device).toList();
  }

  private static Integer device(String address) {
    if (!address.matches("\\d{1,4}")) {
      throw MoontideException.configuration(
          "the task's gpu address is %s: allowed is a device's number; check the discovery script"
              + " (spark.executor.resource.gpu.discoveryScript)",
          address);
    }
    return Integer.valueOf(address);
  }
}
