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

import com.fasterxml.jackson.databind.JsonNode;
import dev.moontide.api.MoontideException;
import dev.moontide.checkpoint.Problems;
import dev.moontide.checkpoint.Quantization;
import java.util.List;
import java.util.OptionalInt;
import org.jspecify.annotations.Nullable;

/** Turns the JSON of {@code config.json} into a {@link ModelConfig}. */
final class ModelConfigReader {
  private static final int MAX_WIDTH = 1 << 20;
  private static final int MAX_COUNT = 1 << 16;

  /** So that all of them side by side are not wider than an int counts. */
  private static final int MAX_SHARED = 1 << 9;

  private static final List<String> MODEL_TYPES = List.of("kimi_k2", "deepseek_v3");

  private final String file;
  private final ConfigKeys root;
  private final ConfigKeys keys;
  private final boolean nested;

  private ModelConfigReader(String file, ConfigKeys root) {
    this.file = file;
    this.root = root;
    this.nested = root.has("text_config");
    this.keys = nested ? root.object("text_config") : root;
  }

  /**
   * Reads the root object of a config.
   *
   * @throws MoontideException that lists everything wrong with it
   */
  static ModelConfig read(String file, JsonNode json) {
    Problems problems = new Problems();
    ModelConfigReader reader =
        new ModelConfigReader(file, new ConfigKeys(file, "", json, problems));
    String modelType = reader.keys.text("model_type", "");
    if (!MODEL_TYPES.contains(modelType)) {
      // The keys of another architecture would only add noise.
      reader.keys.wrong("model_type", String.join(" or ", MODEL_TYPES));
      problems.throwIfAny(file);
    }
    reader.checkFixed();
    return reader.config(modelType, problems);
  }

  /** Keys with a single value this engine computes. */
  private void checkFixed() {
    keys.oneOf("scoring_func", "sigmoid");
    keys.oneOf("topk_method", "noaux_tc");
    keys.oneOf("hidden_act", "silu");
    keys.oneOf("attention_bias", "false");
    keys.oneOf("mlp_bias", "false");
    keys.oneOf("rope_interleave", "true");
  }

  private ModelConfig config(String modelType, Problems problems) {
    ConfigKeys scaling = keys.object(keys.has("rope_scaling") ? "rope_scaling" : "rope_parameters");
    // The newest configs of transformers keep theta beside the scaling.
    ConfigKeys theta = scaling.has("rope_theta") ? scaling : keys;
    int hiddenSize = keys.integer("hidden_size", 1, MAX_WIDTH);
    int intermediateSize = keys.integer("intermediate_size", 1, MAX_WIDTH);
    int moeIntermediateSize = keys.integer("moe_intermediate_size", 1, MAX_WIDTH);
    int numHiddenLayers = keys.integer("num_hidden_layers", 1, MAX_COUNT);
    int numAttentionHeads = keys.integer("num_attention_heads", 1, MAX_COUNT);
    // Latent attention has a key for every head.
    keys.oneOf("num_key_value_heads", Integer.toString(numAttentionHeads));
    int nSharedExperts = keys.integer("n_shared_experts", 0, MAX_SHARED, 0);
    int nRoutedExperts = keys.integer("n_routed_experts", 1, MAX_COUNT);
    int numExpertsPerTok = keys.integer("num_experts_per_tok", 1, MAX_COUNT);
    double routedScalingFactor = keys.number("routed_scaling_factor", 0, true);
    int kvLoraRank = keys.integer("kv_lora_rank", 1, MAX_WIDTH);
    OptionalInt qLoraRank = keys.optionalInteger("q_lora_rank", 1, MAX_WIDTH);
    int qkNopeHeadDim = keys.integer("qk_nope_head_dim", 1, MAX_COUNT);
    int qkRopeHeadDim = keys.integer("qk_rope_head_dim", 2, MAX_COUNT);
    int vHeadDim = keys.integer("v_head_dim", 1, MAX_COUNT);
    int nGroup = keys.integer("n_group", 1, MAX_COUNT, 1);
    int topkGroup = keys.integer("topk_group", 1, MAX_COUNT, 1);
    int moeLayerFreq = keys.integer("moe_layer_freq", 1, MAX_COUNT, 1);
    int firstKDenseReplace = keys.integer("first_k_dense_replace", 0, MAX_COUNT);
    boolean normTopkProb = keys.flag("norm_topk_prob", true);
    double rmsNormEps = keys.number("rms_norm_eps", 0, false);
    double ropeTheta = theta.number("rope_theta", 1, true);
    Yarn ropeScaling = yarn(scaling);
    int maxPositionEmbeddings = keys.integer("max_position_embeddings", 1, Integer.MAX_VALUE);
    int vocabSize = keys.integer("vocab_size", 1, 1 << 24);
    boolean tieWordEmbeddings = keys.flag("tie_word_embeddings", false);
    int numNextnPredictLayers = keys.integer("num_nextn_predict_layers", 0, MAX_COUNT, 0);
    List<Integer> bosTokenId = ids("bos_token_id");
    List<Integer> eosTokenId = ids("eos_token_id");
    List<Integer> padTokenId = ids("pad_token_id");
    Quantization quantization =
        QuantizationReader.read(keys.has("quantization_config") ? keys : root);
    problems.throwIfAny(file);
    return new ModelConfig(
        file,
        nested,
        modelType,
        hiddenSize,
        intermediateSize,
        moeIntermediateSize,
        numHiddenLayers,
        numAttentionHeads,
        nSharedExperts,
        nRoutedExperts,
        numExpertsPerTok,
        routedScalingFactor,
        kvLoraRank,
        qLoraRank,
        qkNopeHeadDim,
        qkRopeHeadDim,
        vHeadDim,
        nGroup,
        topkGroup,
        moeLayerFreq,
        firstKDenseReplace,
        normTopkProb,
        rmsNormEps,
        ropeTheta,
        ropeScaling,
        maxPositionEmbeddings,
        vocabSize,
        tieWordEmbeddings,
        numNextnPredictLayers,
        bosTokenId,
        eosTokenId,
        padTokenId,
        quantization);
  }

  private List<Integer> ids(String key) {
    return keys.has(key) ? keys.ids(key) : root.ids(key);
  }

  private static @Nullable Yarn yarn(ConfigKeys scaling) {
    // Older files say "type"; where both stand, "rope_type" is the newer writer's.
    String key = scaling.has("rope_type") ? "rope_type" : "type";
    String type = scaling.text(key, "default");
    if (!type.equals("yarn")) {
      // A scaling without a type would go unnoticed.
      if (!type.equals("default") || scaling.has("factor")) {
        scaling.wrong(key, "yarn");
      }
      return null;
    }
    scaling.absent("attention_factor");
    scaling.oneOf("truncate", "true");
    return new Yarn(
        scaling.number("factor", 1, false),
        scaling.integer("original_max_position_embeddings", 1, Integer.MAX_VALUE),
        scaling.number("beta_fast", 0, true, 32),
        scaling.number("beta_slow", 0, true, 1),
        scaling.number("mscale", 0, false, 1),
        scaling.number("mscale_all_dim", 0, false, 0));
  }
}
