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

import dev.moontide.checkpoint.CheckpointFingerprint;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * What tells a model from others.
 *
 * @param fingerprint of its files: their content ({@link CheckpointFingerprint}) where this machine
 *     sees them, or the names, sizes and times of a remote folder's, as {@code listing:…}
 * @param tokenizer of the files that the tokenizer is read from
 * @param template of the files that the chat template is read from
 */
public record ModelHashes(String fingerprint, String tokenizer, String template) {
  private static final List<String> TOKENIZER = List.of("tiktoken.model", "tokenizer_config.json");
  private static final List<String> TEMPLATE =
      List.of("chat_template.jinja", "tokenizer_config.json");

  /** Of {@code model}; empty where only executors see its folder. */
  public static Optional<ModelHashes> of(ModelOptions model) {
    if (model.isRemote()) {
      ModelCache cache = EngineSource.cache(model);
      return Optional.of(
          of("listing:" + cache.listing(model.location()), cache.withoutWeights(model.location())));
    }
    Path folder = Path.of(model.location());
    return Files.isDirectory(folder)
        ? Optional.of(of(CheckpointFingerprint.of(folder), folder))
        : Optional.empty();
  }

  private static ModelHashes of(String fingerprint, Path folder) {
    return new ModelHashes(
        fingerprint,
        CheckpointFingerprint.of(folder, TOKENIZER),
        CheckpointFingerprint.of(folder, TEMPLATE));
  }
}
