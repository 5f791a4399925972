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

import static dev.moontide.checkpoint.TestCheckpoint.fixture;
import static dev.moontide.checkpoint.TestCheckpoint.messageOf;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.moontide.checkpoint.Quantization;
import dev.moontide.tensor.Attention;
import dev.moontide.tensor.Rope;
import dev.moontide.tensor.Router;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalInt;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ModelConfigTest {
  /** Kimi-K2-Instruct's, first release, without the keys that change nothing. */
  static final String KIMI_K2 =
      """
      {"architectures": ["DeepseekV3ForCausalLM"], "model_type": "kimi_k2", "hidden_size": 7168,
       "num_hidden_layers": 61, "first_k_dense_replace": 1, "moe_layer_freq": 1,
       "intermediate_size": 18432, "moe_intermediate_size": 2048, "num_attention_heads": 64,
       "num_key_value_heads": 64, "q_lora_rank": 1536, "kv_lora_rank": 512,
       "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
       "n_routed_experts": 384, "n_shared_experts": 1, "num_experts_per_tok": 8, "n_group": 1,
       "topk_group": 1, "scoring_func": "sigmoid", "topk_method": "noaux_tc",
       "norm_topk_prob": true, "routed_scaling_factor": 2.827, "rms_norm_eps": 1e-6,
       "rope_theta": 50000, "max_position_embeddings": 131072, "vocab_size": 163840,
       "tie_word_embeddings": false, "attention_bias": false, "bos_token_id": 163584,
       "eos_token_id": 163585, "num_nextn_predict_layers": 0, "hidden_act": "silu",
       "rope_scaling": {"type": "yarn", "factor": 32, "original_max_position_embeddings": 4096,
         "beta_fast": 1, "beta_slow": 1, "mscale": 1, "mscale_all_dim": 1},
       "quantization_config": {"quant_method": "fp8", "fmt": "e4m3",
         "activation_scheme": "dynamic", "weight_block_size": [128, 128]}}
      """;

  private static final ObjectMapper JSON = new ObjectMapper();

  @TempDir Path folder;

  static ObjectNode kimiK2() {
    try {
      return (ObjectNode) JSON.readTree(KIMI_K2);
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private static ModelConfig config(Consumer<ObjectNode> change) {
    ObjectNode json = kimiK2();
    change.accept(json);
    return ModelConfigReader.read("config.json", json);
  }

  private static String error(Consumer<ObjectNode> change) {
    return messageOf(() -> config(change));
  }

  private static ObjectNode scaling(ObjectNode config) {
    return (ObjectNode) config.get("rope_scaling");
  }

  @Test
  void derivesTheShapesOfKimiK2() {
    ModelConfig config = config(json -> {});
    float scale = (float) (1.8133 / Math.sqrt(192));
    Attention attention = config.attention();
    assertEquals(new Attention(64, 128, 64, 128, 512, attention.softmaxScale(), 1e-6f), attention);
    assertEquals(scale, attention.softmaxScale(), 1e-5f);
    assertEquals(new Router(384, 8, 1, 1, true, 2.827f), config.router());
    assertEquals(OptionalInt.of(1536), config.qLoraRank());
    assertEquals(new Quantization.BlockFp8(128, 128), config.quantization());
    assertEquals(List.of(163584), config.bosTokenId());
    assertEquals(List.of(163585), config.eosTokenId());
    assertEquals(List.of(), config.padTokenId());
    assertFalse(config.isMoeLayer(0));
    assertTrue(config.isMoeLayer(1));
    assertTrue(config.isMoeLayer(60));
    assertEquals(1_026.4, config.totalParameters() / 1e9, 0.05);
    assertEquals(31.7, config.activeParameters() / 1e9, 0.05);
  }

  @Test
  void softmaxScaleGrowsWithTheFactor() {
    ModelConfig later = config(json -> scaling(json).put("factor", 64.0));
    assertEquals(2.0047 / Math.sqrt(192), later.softmaxScale(), 1e-5);
    ModelConfig none = config(json -> scaling(json).remove("mscale_all_dim"));
    assertEquals(1 / Math.sqrt(192), none.softmaxScale(), 1e-15);
    assertEquals(0.1 * Math.log(32) + 1, none.rope().attentionFactor(), 1e-15);
  }

  /** Expected numbers come from DeepSeek's published Python, run on each config. */
  @ParameterizedTest
  @CsvSource({
    "micro-k2, 4, 1, 0.002089813453051319, 9.345929882632628e-06, 0.3701302361811932",
    "micro-grouped, 4, 1, 0.051250000000000004, 2.5e-05, 0.38249888831204115",
    "micro-int4, 4, 1, 0.0010449067265256595, 4.672964941316314e-06, 0.40921577801845505",
    "micro-k2dims-fp8, 32, 6, 0.1315052599786131, 8.764412911589875e-07, 0.13086079996295005",
    "micro-k2dims-fp8, 32, 7, 0.0029305580817179516, 8.764412911589875e-07, 0.13086079996295005",
  })
  void yarnOfTheSmallCheckpoints(
      String model, int pairs, int pair, double frequency, double last, double softmaxScale) {
    ModelConfig config = ModelConfig.load(fixture(model));
    Rope rope = config.rope();
    assertEquals(2 * pairs, rope.dimension());
    assertEquals(1, rope.inverseFrequency(0));
    assertEquals(frequency, rope.inverseFrequency(pair), frequency * 1e-13);
    assertEquals(last, rope.inverseFrequency(pairs - 1), last * 1e-13);
    assertEquals(1, rope.attentionFactor());
    assertEquals(softmaxScale, config.softmaxScale(), 1e-15);
  }

  @Test
  void yarnWithoutARampBetweenFastAndSlow() {
    // Exactly one rotation at both ends: low and high are both pair 0.
    ModelConfig config =
        config(
            json -> {
              scaling(json).put("original_max_position_embeddings", 6);
              scaling(json).put("beta_fast", 6 / (2 * Math.PI));
              scaling(json).put("beta_slow", 6 / (2 * Math.PI));
            });
    Rope rope = config.rope();
    assertEquals(1, rope.inverseFrequency(0));
    assertEquals(Math.pow(50000, -1 / 32.0) / 32, rope.inverseFrequency(1), 1e-15);
  }

  @Test
  void ropeWithoutScaling() {
    ModelConfig none = config(json -> json.putNull("rope_scaling"));
    assertNull(none.ropeScaling());
    assertEquals(Math.pow(50000, -62 / 64.0), none.rope().inverseFrequency(31), 1e-18);
    assertEquals(1, none.rope().attentionFactor());
    assertEquals(1 / Math.sqrt(192), none.softmaxScale(), 1e-15);
    assertNull(config(json -> json.putObject("rope_scaling").put("type", "default")).ropeScaling());
    assertNull(config(json -> json.remove("rope_scaling")).ropeScaling());
  }

  @Test
  void ropeTypeAndRopeParametersAreReadToo() {
    Yarn yarn = config(json -> {}).ropeScaling();
    assertEquals(
        yarn,
        config(
                json -> {
                  scaling(json).remove("type");
                  scaling(json).put("rope_type", "yarn");
                })
            .ropeScaling());
    ModelConfig newest =
        config(
            json -> {
              ObjectNode scaling = scaling(json);
              json.remove("rope_scaling");
              json.remove("rope_theta");
              json.set("rope_parameters", scaling.put("rope_theta", 7.5));
            });
    assertEquals(yarn, newest.ropeScaling());
    assertEquals(7.5, newest.ropeTheta());
  }

  @Test
  void optionalKeysMayBeNullOrMissing() {
    ModelConfig config =
        config(
            json -> {
              json.putNull("q_lora_rank");
              json.putNull("n_shared_experts");
              json.remove(List.of("n_group", "topk_group", "moe_layer_freq", "bos_token_id"));
              json.remove(List.of("scoring_func", "topk_method", "quantization_config"));
              json.putArray("eos_token_id").add(5).add(6);
              json.put("model_type", "deepseek_v3");
            });
    assertEquals(OptionalInt.empty(), config.qLoraRank());
    assertEquals(0, config.nSharedExperts());
    assertEquals(new Router(384, 8, 1, 1, true, 2.827f), config.router());
    assertEquals(List.of(), config.bosTokenId());
    assertEquals(List.of(5, 6), config.eosTokenId());
    assertEquals(new Quantization.None(), config.quantization());
  }

  @Test
  void everyOtherLayerMayRoute() {
    ModelConfig config =
        config(json -> json.put("moe_layer_freq", 2).put("first_k_dense_replace", 3));
    assertEquals(
        List.of(4, 6, 8), IntStream.range(0, 10).filter(config::isMoeLayer).boxed().toList());
  }

  @Test
  void theTextConfigOfAMultimodalModelIsRead() {
    ObjectNode outer = JSON.createObjectNode().put("model_type", "kimi_k25");
    ObjectNode inner = kimiK2();
    inner.remove("eos_token_id");
    inner.put("rms_norm_eps", 1e-5);
    outer.set("text_config", inner);
    outer.put("eos_token_id", 163586);
    ModelConfig config = ModelConfigReader.read("config.json", outer);
    assertTrue(config.nested());
    assertEquals(1e-5, config.rmsNormEps());
    assertEquals(List.of(163586), config.eosTokenId());
    assertEquals(new Quantization.BlockFp8(128, 128), config.quantization());
    inner.put("hidden_act", "gelu");
    assertEquals(
        "config.json: text_config.hidden_act is gelu, expected silu",
        messageOf(() -> ModelConfigReader.read("config.json", outer)));
  }

  @Test
  void int4() {
    assertEquals(
        new Quantization.PackedInt4(32), ModelConfig.load(fixture("micro-int4")).quantization());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '\u0000',
      value = {
        "model_type | \"llama\" | model_type is llama, expected kimi_k2 or deepseek_v3",
        "model_type | null | model_type is null, expected kimi_k2 or deepseek_v3",
        "hidden_size | null | hidden_size is null, expected an integer from 1 to 1048576",
        "hidden_size | 7168.0 | hidden_size is 7168.0, expected an integer from 1 to 1048576",
        "hidden_size | \"7168\" | hidden_size is 7168, expected an integer from 1 to 1048576",
        "hidden_size | 0 | hidden_size is 0, expected an integer from 1 to 1048576",
        "hidden_size | 4294967296 | hidden_size is 4294967296, expected an integer from 1 to"
            + " 1048576",
        "scoring_func | \"softmax\" | scoring_func is softmax, expected sigmoid",
        "topk_method | \"greedy\" | topk_method is greedy, expected noaux_tc",
        "hidden_act | \"gelu\" | hidden_act is gelu, expected silu",
        "attention_bias | true | attention_bias is true, expected false",
        "num_key_value_heads | 8 | num_key_value_heads is 8, expected 64",
        "rms_norm_eps | -1 | rms_norm_eps is -1, expected a number of at least 0.0",
        "rope_theta | 1 | rope_theta is 1, expected a number above 1.0",
        "norm_topk_prob | 1 | norm_topk_prob is 1, expected true or false",
        "qk_rope_head_dim | 63 | qk_rope_head_dim is 63, expected an even number",
        "num_experts_per_tok | 385 | topk_group is 1, expected groups that hold"
            + " num_experts_per_tok (385) experts",
        "n_group | 7 | n_group is 7, expected a divisor of n_routed_experts (384)",
        "n_group | 384 | n_group is 384, expected groups of at least two experts, whose best two"
            + " are the group's score",
        "topk_group | 2 | topk_group is 2, expected at most n_group (1)",
        "n_group | 96 | topk_group is 1, expected groups that hold num_experts_per_tok (8) experts",
        "first_k_dense_replace | 62 | first_k_dense_replace is 62, expected at most"
            + " num_hidden_layers (61)",
        "n_routed_experts | 65536 | n_routed_experts is 65536, expected at most 262144 in all 61"
            + " layers",
        "eos_token_id | 163840 | eos_token_id is 163840, expected an id below vocab_size (163840)",
        "eos_token_id | [1,-2] | eos_token_id is [1,-2], expected a token id or a list of them",
        "eos_token_id | \"a\" | eos_token_id is a, expected a token id or a list of them",
        "rope_scaling | {\"type\":\"linear\",\"factor\":2} | rope_scaling.type is linear,"
            + " expected yarn",
        "rope_scaling | {\"factor\":2} | rope_scaling.type is missing, expected yarn",
        "rope_scaling | {\"rope_type\":\"llama3\"} | rope_scaling.rope_type is llama3,"
            + " expected yarn",
        "rope_scaling | [] | rope_scaling is [], expected a JSON object",
        "rope_scaling | {\"type\":\"yarn\",\"factor\":0.5,"
            + "\"original_max_position_embeddings\":4096} | rope_scaling.factor is 0.5, expected"
            + " a number of at least 1.0",
        "rope_scaling | {\"type\":\"yarn\",\"factor\":2} |"
            + " rope_scaling.original_max_position_embeddings is missing, expected an integer from"
            + " 1 to 2147483647",
        "rope_scaling | {\"type\":\"yarn\",\"factor\":2,\"attention_factor\":1.5,"
            + "\"original_max_position_embeddings\":4096} | rope_scaling.attention_factor is 1.5,"
            + " expected null",
        "quantization_config | {\"quant_method\":\"gptq\"} | quantization_config.quant_method"
            + " is gptq, expected fp8 or compressed-tensors",
        "quantization_config | {} | quantization_config.quant_method is missing, expected fp8 or"
            + " compressed-tensors",
        "quantization_config | {\"quant_method\":\"fp8\",\"weight_block_size\":[128]} |"
            + " quantization_config.weight_block_size is [128], expected two positive integers,"
            + " rows and columns",
        "quantization_config | {\"quant_method\":\"fp8\",\"fmt\":\"e5m2\","
            + "\"weight_block_size\":[128,128]} | quantization_config.fmt is e5m2, expected e4m3",
      })
  void oneWrongKey(String key, String value, String expected) throws IOException {
    ObjectNode json = kimiK2();
    json.set(key, JSON.readTree(value));
    String message = messageOf(() -> ModelConfigReader.read("config.json", json));
    // The values that contradict several others have a second problem beside the one looked for.
    List<String> problems =
        message.lines().filter(line -> !line.endsWith(" problems")).map(String::strip).toList();
    assertTrue(problems.contains("config.json: " + expected), message);
    assertTrue(problems.size() <= 2, message);
  }

  @ParameterizedTest
  @CsvSource({
    "num_bits, 8, 'num_bits is 8, expected 4'",
    "type, float, 'type is float, expected int'",
    "symmetric, false, 'symmetric is false, expected true'",
    "strategy, channel, 'strategy is channel, expected group'",
    "group_size, 12, 'group_size is 12, expected a multiple of 8'",
    "group_size, null, 'group_size is null, expected an integer from 8 to 65536'",
    "actorder, weight, 'actorder is weight, expected null'",
  })
  void packedWeightsOfAnotherKind(String key, String value, String expected) throws IOException {
    ObjectNode json =
        (ObjectNode) JSON.readTree(fixture("micro-int4").resolve("config.json").toFile());
    ObjectNode weights = (ObjectNode) json.at("/quantization_config/config_groups/group_0/weights");
    if (value.matches("[a-z]+") && !List.of("true", "false", "null").contains(value)) {
      weights.put(key, value);
    } else {
      weights.set(key, JSON.readTree(value));
    }
    assertEquals(
        "config.json: quantization_config.config_groups.group_0.weights." + expected,
        messageOf(() -> ModelConfigReader.read("config.json", json)));
  }

  @Test
  void everyProblemIsListed() {
    assertEquals(
        """
        config.json: 4 problems
          config.json: hidden_act is gelu, expected silu
          config.json: hidden_size is missing, expected an integer from 1 to 1048576
          config.json: rope_theta is -1, expected a number above 1.0
          config.json: vocab_size is a, expected an integer from 1 to 16777216""",
        error(
            json -> {
              json.remove("hidden_size");
              json.put("vocab_size", "a").put("rope_theta", -1).put("hidden_act", "gelu");
            }));
    assertEquals(
        """
        config.json: 2 problems
          config.json: qk_rope_head_dim is 9, expected an even number
          config.json: bos_token_id is 200000, expected an id below vocab_size (163840)""",
        error(json -> json.put("qk_rope_head_dim", 9).put("bos_token_id", 200_000)));
  }

  @Test
  void filesThatAreNoConfig() throws IOException {
    Path file = folder.resolve("config.json");
    assertEquals(file + ": there is no such file", messageOf(() -> ModelConfig.load(folder)));
    Files.writeString(file, "[]");
    assertEquals(file + ": expected a JSON object", messageOf(() -> ModelConfig.load(folder)));
    Files.writeString(file, "");
    assertEquals(file + ": expected a JSON object", messageOf(() -> ModelConfig.load(folder)));
    Files.writeString(file, "{\"a\":1,\"a\":2}");
    assertTrue(messageOf(() -> ModelConfig.load(folder)).endsWith(": Duplicate field 'a'"));
    Files.writeString(file, "{} {}");
    assertTrue(messageOf(() -> ModelConfig.load(folder)).contains("the JSON is not valid"));
    Files.writeString(file, "{\"a\":" + "[".repeat(100_000));
    assertTrue(messageOf(() -> ModelConfig.load(folder)).contains("nesting depth"));
    Files.write(file, new byte[(16 << 20) + 1]);
    assertEquals(
        file + ": has 16777217 bytes, expected at most 16777216",
        messageOf(() -> ModelConfig.load(folder)));
  }
}
