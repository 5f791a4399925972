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
package dev.moontide.model;

import dev.moontide.checkpoint.Checkpoint;
import dev.moontide.checkpoint.Problems;
import dev.moontide.checkpoint.StoredTensor;
import dev.moontide.checkpoint.StoredType;
import dev.moontide.tensor.DType;
import dev.moontide.tokenizer.ChatTemplate;
import dev.moontide.tokenizer.StopTokens;
import dev.moontide.tokenizer.Tokenizer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * What a checkpoint's folder holds and everything that is wrong with it, the tokenizer and its chat
 * template included. No weight is loaded; of the data only the scales are read.
 *
 * @param folder as it was given
 * @param problems one message each; a checkpoint without any can be loaded
 * @param model what the config describes; null if it cannot be read
 * @param tensors in its files, as far as these can be read
 * @param storedBytes of these, by type
 */
public record Inspection(
    String folder,
    List<String> problems,
    @Nullable Model model,
    int tensors,
    Map<StoredType, Long> storedBytes) {
  /**
   * @param modelType {@code model_type}
   * @param layers {@code num_hidden_layers}
   * @param moeLayers those with routed experts
   * @param routedExperts {@code n_routed_experts}
   * @param expertsPerToken {@code num_experts_per_tok}
   * @param sharedExperts {@code n_shared_experts}
   * @param quantization of the linear weights
   * @param totalParameters every weight, the router's bias included
   * @param activeParameters those a token is multiplied with
   * @param memory by the type a backend computes with
   */
  public record Model(
      String modelType,
      int layers,
      int moeLayers,
      int routedExperts,
      int expertsPerToken,
      int sharedExperts,
      int hiddenSize,
      int heads,
      int vocabularySize,
      int maxPositions,
      String quantization,
      long totalParameters,
      long activeParameters,
      List<Memory> memory) {
    public Model {
      memory = List.copyOf(memory);
    }

    static Model of(ModelConfig config, TensorInventory inventory) {
      int moeLayers = 0;
      for (int layer = 0; layer < config.numHiddenLayers(); layer++) {
        moeLayers += config.isMoeLayer(layer) ? 1 : 0;
      }
      return new Model(
          config.modelType(),
          config.numHiddenLayers(),
          moeLayers,
          config.nRoutedExperts(),
          config.numExpertsPerTok(),
          config.nSharedExperts(),
          config.hiddenSize(),
          config.numAttentionHeads(),
          config.vocabSize(),
          config.maxPositionEmbeddings(),
          config.quantization().description(),
          inventory.totalParameters(),
          inventory.activeParameters(),
          Arrays.stream(DType.values()).map(type -> Memory.of(type, config, inventory)).toList());
    }
  }

  /**
   * What the model takes on a device.
   *
   * @param type it computes with there
   * @param weightBytes all weights
   * @param cacheBytesPerToken the latent cache of one token over all layers
   */
  public record Memory(DType type, long weightBytes, long cacheBytesPerToken) {
    static Memory of(DType type, ModelConfig config, TensorInventory inventory) {
      long numbers = (long) config.numHiddenLayers() * config.attention().cacheColumns();
      return new Memory(type, inventory.bytes(type), numbers * type.bytes());
    }
  }

  public Inspection {
    problems = List.copyOf(problems);
    storedBytes = Map.copyOf(storedBytes);
  }

  /** Inspects {@code folder}. */
  public static Inspection of(Path folder) {
    Problems problems = new Problems();
    Checkpoint checkpoint = Checkpoint.scan(folder, problems);
    Model model = null;
    ModelConfig config = problems.attempt(() -> ModelConfig.load(folder)).orElse(null);
    if (config != null) {
      TensorInventory inventory = TensorInventory.of(config, checkpoint);
      model = Model.of(config, inventory);
      // Without any tensor, that itself has been said.
      if (!checkpoint.names().isEmpty()) {
        inventory
            .check(checkpoint, problems)
            .forEach(matrix -> problems.collect(matrix::checkScales));
      }
    }
    problems.collect(() -> readText(folder));
    Map<StoredType, Long> bytes = new TreeMap<>();
    for (StoredTensor tensor : checkpoint.tensors()) {
      bytes.merge(tensor.type(), tensor.bytes(), Long::sum);
    }
    return new Inspection(
        folder.toString(), problems.messages(), model, checkpoint.names().size(), bytes);
  }

  /** Reads what an engine reads beside the weights; a checkpoint may do without a tokenizer. */
  private static void readText(Path folder) {
    Tokenizer tokenizer = Tokenizer.isPresent(folder) ? Tokenizer.load(folder) : null;
    Optional<ChatTemplate> template =
        tokenizer == null ? Optional.empty() : ChatTemplate.load(folder, tokenizer);
    StopTokens.load(folder, tokenizer, template);
  }

  /** Whether nothing is wrong. */
  public boolean passed() {
    return problems.isEmpty();
  }
}
