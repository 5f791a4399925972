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
import java.io.Serializable;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.spark.SparkContext;
import org.jspecify.annotations.Nullable;

/**
 * The checkpoint and how the engine runs it: {@link EngineOptions} as they travel to executors.
 *
 * @param location the checkpoint's folder: one that every executor sees under this name, or a URI
 *     of any file system that Hadoop reads, from which every host makes a copy
 * @param backend the device
 * @param precision the compute type
 * @param maxBatchTokens tokens one step computes at most
 * @param maxSequences sequences one step computes at most
 * @param kvCacheBytes memory for the latent cache; 0 chooses
 * @param maxModelLength longest prompt and output together; 0 takes the model's own limit
 * @param threads compute threads of the CPU backend; 0 takes the machine's processors
 * @param prefixCache whether requests share the computation of equal beginnings
 * @param cache the folder of each host that remote checkpoints are copied to; null for {@code
 *     moontide-models} in its folder for temporary files
 */
public record ModelOptions(
    String location,
    EngineOptions.Backend backend,
    EngineOptions.Precision precision,
    int maxBatchTokens,
    int maxSequences,
    long kvCacheBytes,
    int maxModelLength,
    int threads,
    boolean prefixCache,
    @Nullable String cache)
    implements Serializable {

  private static final String FILE_SCHEME = "file:";

  public ModelOptions {
    if (location.isBlank()) {
      throw MoontideException.configuration("model is empty: allowed is a checkpoint's folder");
    }
    if (location.startsWith(FILE_SCHEME)) {
      location = location.substring(FILE_SCHEME.length()).replaceFirst("^/+", "/");
    }
    // Validates the rest.
    EngineOptions validated =
        new EngineOptions(
            Path.of(location),
            backend,
            precision,
            maxBatchTokens,
            maxSequences,
            kvCacheBytes,
            maxModelLength,
            threads,
            prefixCache);
    location = isRemote(location) ? location : validated.model().toString();
  }

  /**
   * The same for the executors of an application. A relative path is one of the folder the driver
   * was started in, as it is for inputs and outputs. Where the driver itself is started by the
   * cluster, or has no such folder, it stays one of each executor's working folder, where Spark
   * unpacks {@code --archives}.
   */
  public ModelOptions onExecutorsOf(SparkContext context) {
    boolean asGiven =
        isRemote()
            || Path.of(location).isAbsolute()
            || context.deployMode().equals("cluster")
            || !Files.isDirectory(Path.of(location));
    return asGiven ? this : in(Path.of(location).toAbsolutePath().normalize().toString());
  }

  /** The same with the checkpoint in {@code folder}. */
  ModelOptions in(String folder) {
    return new ModelOptions(
        folder,
        backend,
        precision,
        maxBatchTokens,
        maxSequences,
        kvCacheBytes,
        maxModelLength,
        threads,
        prefixCache,
        cache);
  }

  private static boolean isRemote(String location) {
    return location.matches("[a-zA-Z][a-zA-Z0-9+.-]+:/.*");
  }

  /** Whether the checkpoint has to be copied to a host before an engine there can read it. */
  public boolean isRemote() {
    return isRemote(location);
  }

  /** The defaults for the checkpoint in {@code location}. */
  public static ModelOptions of(String location) {
    EngineOptions defaults = EngineOptions.of(Path.of(location));
    return new ModelOptions(
        location,
        defaults.backend(),
        defaults.precision(),
        defaults.maxBatchTokens(),
        defaults.maxSequences(),
        defaults.kvCacheBytes(),
        defaults.maxModelLength(),
        defaults.threads(),
        defaults.prefixCache(),
        null);
  }

  /**
   * The model's options among {@code options}, as {@link JobOptions#fromMap} reads them.
   *
   * @throws MoontideException of category configuration, naming the option, its value and what is
   *     allowed
   */
  public static ModelOptions fromMap(Map<String, String> options) {
    return OptionReader.readModel(options);
  }

  /** These as {@link #fromMap} reads them: every option by name, as a user writes it. */
  public Map<String, String> toMap() {
    Map<String, String> options = new LinkedHashMap<>(engineOptions(Path.of("")).byName());
    options.put("model", location);
    if (cache != null) {
      options.put("model-cache", cache);
    }
    return options;
  }

  /** The same for the engine, of a checkpoint that is not remote. */
  public EngineOptions engineOptions() {
    return engineOptions(Path.of(location));
  }

  /** The same for the engine, with the checkpoint in {@code folder}. */
  public EngineOptions engineOptions(Path folder) {
    return new EngineOptions(
        folder,
        backend,
        precision,
        maxBatchTokens,
        maxSequences,
        kvCacheBytes,
        maxModelLength,
        threads,
        prefixCache);
  }
}
