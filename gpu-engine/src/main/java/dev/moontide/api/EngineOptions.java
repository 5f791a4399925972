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
package dev.moontide.api;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * What an engine is started with, validated. One engine per JVM serves equal options.
 *
 * @param model the checkpoint's folder
 * @param backend the device; {@link Backend#AUTO} says in the log what it chose and why
 * @param precision the type of weights and cache; {@link Precision#BF16} is multiplied as it is
 *     where the device does so natively, else widened to float32; {@link Precision#AUTO} takes bf16
 *     where it is native, else float32
 * @param maxBatchTokens tokens one step computes at most
 * @param maxSequences sequences one step computes at most
 * @param kvCacheBytes memory for the latent cache; 0 chooses by what the model and the machine
 *     leave
 * @param maxModelLength longest prompt and output together; 0 takes the model's own limit
 * @param threads compute threads of the CPU backend; 0 takes the machine's processors
 * @param prefixCache whether requests share the computation of equal beginnings
 * @param gpu which GPU the CUDA backend takes, in the driver's numbering
 */
public record EngineOptions(
    Path model,
    Backend backend,
    Precision precision,
    int maxBatchTokens,
    int maxSequences,
    long kvCacheBytes,
    int maxModelLength,
    int threads,
    boolean prefixCache,
    int gpu) {

  private static final String[] UNITS = {"", "k", "m", "g"};

  /** Devices an engine runs on. */
  public enum Backend {
    AUTO,
    CPU,
    CUDA
  }

  /** Types of weights and cache. */
  public enum Precision {
    AUTO,
    BF16,
    F32
  }

  public EngineOptions {
    check(maxBatchTokens >= 16, "max-batch-tokens", maxBatchTokens, "at least 16");
    check(maxSequences >= 1, "max-sequences", maxSequences, "at least 1");
    check(kvCacheBytes >= 0, "kv-cache-memory", kvCacheBytes, "0 (automatic) or a number of bytes");
    check(maxModelLength >= 0, "max-model-len", maxModelLength, "0 (the model's own) or more");
    check(threads >= 0, "threads", threads, "0 (all processors) or more");
    check(gpu >= 0, "gpu", gpu, "0 or more");
  }

  /** On the first GPU, where the backend is one. */
  public EngineOptions(
      Path model,
      Backend backend,
      Precision precision,
      int maxBatchTokens,
      int maxSequences,
      long kvCacheBytes,
      int maxModelLength,
      int threads,
      boolean prefixCache) {
    this(
        model,
        backend,
        precision,
        maxBatchTokens,
        maxSequences,
        kvCacheBytes,
        maxModelLength,
        threads,
        prefixCache,
        0);
  }

  private static void check(boolean valid, String name, Object value, String allowed) {
    if (!valid) {
      throw MoontideException.configuration("%s is %s: allowed is %s", name, value, allowed);
    }
  }

  /** The defaults for the checkpoint in {@code model}. */
  public static EngineOptions of(Path model) {
    return new EngineOptions(model, Backend.AUTO, Precision.AUTO, 2048, 256, 0, 0, 0, true);
  }

  /** All but the model's folder and the GPU, by name, as a user writes them. */
  public Map<String, String> byName() {
    Map<String, String> options = new LinkedHashMap<>();
    options.put("backend", backend.name().toLowerCase(Locale.ROOT));
    options.put("dtype", precision.name().toLowerCase(Locale.ROOT));
    options.put("max-batch-tokens", Integer.toString(maxBatchTokens));
    options.put("max-sequences", Integer.toString(maxSequences));
    options.put("kv-cache-memory", size(kvCacheBytes));
    options.put("max-model-len", Integer.toString(maxModelLength));
    options.put("threads", Integer.toString(threads));
    options.put("prefix-cache", Boolean.toString(prefixCache));
    return options;
  }

  /** In the largest unit that is exact: 8g, 512m, 1000. */
  private static String size(long bytes) {
    int unit = bytes == 0 ? 0 : Math.min(Long.numberOfTrailingZeros(bytes) / 10, 3);
    return (bytes >> (10 * unit)) + UNITS[unit];
  }

  /**
   * The options of {@code asked} that {@code there} has otherwise: "dtype is f32 here, bf16 there".
   */
  public static String differences(Map<String, String> asked, Map<String, String> there) {
    return asked.entrySet().stream()
        .filter(option -> !option.getValue().equals(there.get(option.getKey())))
        .map(
            option ->
                "%s is %s here, %s there"
                    .formatted(
                        option.getKey(),
                        option.getValue(),
                        there.getOrDefault(option.getKey(), "not given")))
        .collect(Collectors.joining("; "));
  }

  public EngineOptions withBackend(Backend value) {
    return new EngineOptions(
        model,
        value,
        precision,
        maxBatchTokens,
        maxSequences,
        kvCacheBytes,
        maxModelLength,
        threads,
        prefixCache,
        gpu);
  }

  public EngineOptions withPrecision(Precision value) {
    return new EngineOptions(
        model,
        backend,
        value,
        maxBatchTokens,
        maxSequences,
        kvCacheBytes,
        maxModelLength,
        threads,
        prefixCache,
        gpu);
  }

  public EngineOptions withGpu(int value) {
    return new EngineOptions(
        model,
        backend,
        precision,
        maxBatchTokens,
        maxSequences,
        kvCacheBytes,
        maxModelLength,
        threads,
        prefixCache,
        value);
  }
}
