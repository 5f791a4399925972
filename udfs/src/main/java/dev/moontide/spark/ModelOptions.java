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
import java.nio.file.Path;

/**
 * The checkpoint and how the engine runs it: {@link EngineOptions} as they travel to executors.
 *
 * @param location the checkpoint's folder, which every executor sees under this name
 * @param backend the device
 * @param precision the compute type
 * @param maxBatchTokens tokens one step computes at most
 * @param maxSequences sequences one step computes at most
 * @param kvCacheBytes memory for the latent cache; 0 chooses
 * @param maxModelLength longest prompt and output together; 0 takes the model's own limit
 * @param threads compute threads of the CPU backend; 0 takes the machine's processors
 * @param prefixCache whether requests share the computation of equal beginnings
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
    boolean prefixCache)
    implements Serializable {

  private static final String FILE_SCHEME = "file:";

  public ModelOptions {
    if (location.isBlank()) {
      throw MoontideException.configuration("model is empty: allowed is a checkpoint's folder");
    }
    if (location.startsWith(FILE_SCHEME)) {
      location = location.substring(FILE_SCHEME.length()).replaceFirst("^/+", "/");
    }
    if (location.matches("[a-zA-Z][a-zA-Z0-9+.-]+://?.*")) {
      throw MoontideException.configuration(
          "model is %s: allowed is a folder that every executor sees; copy or mount the checkpoint"
              + " there",
          location);
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
    location = validated.model().toString();
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
        defaults.prefixCache());
  }

  /** The same for the engine. */
  public EngineOptions engineOptions() {
    return new EngineOptions(
        Path.of(location),
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
