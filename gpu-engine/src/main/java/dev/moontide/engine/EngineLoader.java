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
package dev.moontide.engine;

import dev.moontide.api.EngineOptions;
import dev.moontide.api.TokenIds;
import dev.moontide.checkpoint.Checkpoint;
import dev.moontide.model.DeepseekV3;
import dev.moontide.model.LoadedWeights;
import dev.moontide.model.ModelConfig;
import dev.moontide.model.ModelWeights;
import dev.moontide.tensor.Ops;
import dev.moontide.tokenizer.ChatTemplate;
import dev.moontide.tokenizer.StopTokens;
import dev.moontide.tokenizer.StreamDecoder;
import dev.moontide.tokenizer.Tokenizer;
import java.nio.file.Path;
import java.util.Optional;
import java.util.function.ObjIntConsumer;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Puts an engine's parts together: backend, weights, cache, tokenizer. */
final class EngineLoader {
  private static final Logger LOG = LoggerFactory.getLogger(EngineLoader.class);

  private EngineLoader() {}

  /** Loads the checkpoint that {@code options} name onto their backend. */
  static LoadedModel load(EngineOptions options) {
    Path folder = options.model();
    ModelConfig config = ModelConfig.load(folder);
    Tokenizer tokenizer = Tokenizer.isPresent(folder) ? Tokenizer.load(folder) : null;
    TokenIds stopTokens = stopTokens(folder, tokenizer);
    int threads =
        options.threads() == 0 ? Runtime.getRuntime().availableProcessors() : options.threads();
    int maxModelLength = CacheSize.maxModelLength(options, config);
    Checkpoint checkpoint = Checkpoint.open(folder);
    Backends.Opened backend = Backends.open(options, config, checkpoint, threads);
    Ops ops = backend.ops();
    int blocks = backend.blocks();
    try {
      LoadedWeights loaded = ModelWeights.load(checkpoint, config, ops, threads);
      DeepseekV3 model =
          new DeepseekV3(
              config, loaded.weights(), ops, options.maxBatchTokens(), blocks, backend.blockSize());
      LOG.info(
          "{}: {}, on {}; cache for {} tokens, longest row {} tokens",
          folder,
          loaded.summary(),
          ops.description(),
          (long) blocks * backend.blockSize(),
          maxModelLength);
      return new LoadedModel(
          model,
          tokenizer == null ? null : decoders(tokenizer),
          stopTokens,
          backend.device(),
          loaded.seconds(),
          loaded.bytes());
    } catch (RuntimeException | Error e) {
      ops.close();
      throw e;
    }
  }

  private static TokenIds stopTokens(Path folder, @Nullable Tokenizer tokenizer) {
    Optional<ChatTemplate> template =
        tokenizer == null ? Optional.empty() : ChatTemplate.load(folder, tokenizer);
    return StopTokens.load(folder, tokenizer, template).ids();
  }

  private static Supplier<ObjIntConsumer<StringBuilder>> decoders(Tokenizer tokenizer) {
    return () -> {
      StreamDecoder decoder = tokenizer.streamDecoder();
      return (out, token) -> decoder.append(token, out);
    };
  }
}
