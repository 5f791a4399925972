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
package dev.moontide.job.bench;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.moontide.api.MoontideException;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The shape of the random model {@code bench} makes: config keys and their values. The defaults are
 * a Kimi-K2 in miniature of about 350 M parameters.
 */
public final class BenchShape {
  private static final Map<String, Long> DEFAULTS = new LinkedHashMap<>();

  static {
    DEFAULTS.put("hidden_size", 1024L);
    DEFAULTS.put("num_hidden_layers", 12L);
    DEFAULTS.put("first_k_dense_replace", 1L);
    DEFAULTS.put("intermediate_size", 2048L);
    DEFAULTS.put("moe_intermediate_size", 256L);
    DEFAULTS.put("n_routed_experts", 32L);
    DEFAULTS.put("num_experts_per_tok", 8L);
    DEFAULTS.put("n_shared_experts", 1L);
    DEFAULTS.put("num_attention_heads", 8L);
    DEFAULTS.put("q_lora_rank", 384L);
    DEFAULTS.put("kv_lora_rank", 512L);
    DEFAULTS.put("qk_nope_head_dim", 128L);
    DEFAULTS.put("qk_rope_head_dim", 64L);
    DEFAULTS.put("v_head_dim", 128L);
    DEFAULTS.put("vocab_size", 16384L);
    DEFAULTS.put("max_position_embeddings", 4096L);
  }

  private final Map<String, Long> values;

  private BenchShape(Map<String, Long> values) {
    this.values = values;
  }

  /** The defaults, changed by {@code overrides} such as {@code hidden_size=512}. */
  public static BenchShape of(Map<String, Long> overrides) {
    Map<String, Long> values = new LinkedHashMap<>(DEFAULTS);
    overrides.forEach(
        (key, value) -> {
          if (!DEFAULTS.containsKey(key)) {
            throw MoontideException.configuration(
                "--shape has no key \"%s\": allowed are %s",
                key, String.join(", ", DEFAULTS.keySet()));
          }
          if (value < 0 || value > Integer.MAX_VALUE) {
            throw MoontideException.configuration(
                "--shape %s=%d: allowed is 0 to %d", key, value, Integer.MAX_VALUE);
          }
          values.put(key, value);
        });
    return new BenchShape(values);
  }

  /** The keys {@link #of} accepts, with their defaults. */
  public static Map<String, Long> defaults() {
    return Collections.unmodifiableMap(DEFAULTS);
  }

  /** The model's {@code config.json}. */
  ObjectNode config() {
    ObjectNode config = new ObjectMapper().createObjectNode();
    config.putArray("architectures").add("DeepseekV3ForCausalLM");
    config.put("model_type", "kimi_k2");
    values.forEach(config::put);
    config.put("num_key_value_heads", values.get("num_attention_heads"));
    config.put("routed_scaling_factor", 2.827);
    config.put("topk_method", "noaux_tc");
    config.put("scoring_func", "sigmoid");
    config.put("n_group", 1);
    config.put("topk_group", 1);
    config.put("moe_layer_freq", 1);
    config.put("norm_topk_prob", true);
    config.put("hidden_act", "silu");
    config.put("rms_norm_eps", 1e-6);
    config.put("rope_theta", 50000.0);
    config.put("tie_word_embeddings", false);
    config.put("attention_bias", false);
    long vocabulary = values.getOrDefault("vocab_size", 0L);
    config.put("bos_token_id", vocabulary - 2);
    config.put("eos_token_id", vocabulary - 1);
    config.put("torch_dtype", "bfloat16");
    return config;
  }
}
