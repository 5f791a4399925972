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
package dev.moontide.device;

import dev.moontide.model.AttentionWeights;
import dev.moontide.model.FeedForward;
import dev.moontide.model.LayerWeights;
import dev.moontide.model.Mlp;
import dev.moontide.model.ModelConfig;
import dev.moontide.model.ModelWeights;
import dev.moontide.tensor.Attention;
import dev.moontide.tensor.Encoding;
import dev.moontide.tensor.MatrixSource;
import dev.moontide.tensor.Storage;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;

/** Kimi-K2's own dimensions with one dense layer and a few with experts, FP8, random. */
final class RandomModel {
  private static final Encoding FP8 = new Encoding.BlockFp8(128, 128);
  private static final byte[] BYTES = bytes();

  private RandomModel() {}

  private static byte[] bytes() {
    byte[] bytes = new byte[(16 << 20) + 4099];
    new Random(1).nextBytes(bytes);
    for (int i = 0; i < bytes.length; i++) {
      // Exponents up to 2^-1, so that no code is NaN and sums keep their size.
      bytes[i] &= (byte) 0xb7;
    }
    return bytes;
  }

  /** FP8 codes out of one random array, with a scale that keeps activations near 1. */
  private record Fp8(String name, int rows, int columns) implements MatrixSource {
    @Override
    public Encoding encoding() {
      return FP8;
    }

    @Override
    public void copy(int first, int count, ByteBuffer target) {
      long left = (long) count * columns;
      int at = Math.floorMod(name.hashCode() + 7919 * first, BYTES.length / 2);
      while (left > 0) {
        int length = (int) Math.min(left, BYTES.length - at);
        target.put(BYTES, at, length);
        left -= length;
        at = 0;
      }
    }

    @Override
    public void readScales(int row, float[] out) {
      Arrays.fill(out, (float) (4 / Math.sqrt(columns)));
    }

    @Override
    public void read(int first, int count, float[] out, int offset) {
      Random random = new Random(name.hashCode() + first);
      for (int i = 0; i < count * columns; i++) {
        out[offset + i] = (float) ((2 * random.nextDouble() - 1) / Math.sqrt(columns));
      }
    }
  }

  /** Small random numbers in bf16, or about ones for a gain. */
  private record Numbers(String name, int rows, int columns, float scale, float mean)
      implements MatrixSource {
    @Override
    public Encoding encoding() {
      return new Encoding.Bf16();
    }

    @Override
    public void copy(int first, int count, ByteBuffer target) {
      for (int i = 0; i < count * columns; i++) {
        target.putShort((short) (Float.floatToIntBits(number(first * columns + i)) >>> 16));
      }
    }

    private float number(int i) {
      int bits = i * 0x9E3779B9 + name.hashCode();
      bits = (bits ^ (bits >>> 16)) * 0x85EBCA6B;
      bits = (bits ^ (bits >>> 13)) * 0xC2B2AE35;
      bits ^= bits >>> 16;
      return Float.intBitsToFloat(Float.floatToIntBits(mean + scale * bits / 0x1p31f) & 0xffff0000);
    }

    @Override
    public void read(int first, int count, float[] out, int offset) {
      for (int i = 0; i < count * columns; i++) {
        out[offset + i] = number(first * columns + i);
      }
    }
  }

  static ModelConfig config(int layers) throws IOException {
    Path folder = Files.createTempDirectory("random-model");
    Files.writeString(
        folder.resolve(ModelConfig.FILE),
        """
        {"architectures": ["DeepseekV3ForCausalLM"], "model_type": "kimi_k2", "hidden_size": 7168,
         "intermediate_size": 18432, "moe_intermediate_size": 2048, "num_hidden_layers": %d,
         "num_attention_heads": 64, "num_key_value_heads": 64, "n_shared_experts": 1,
         "n_routed_experts": 384, "num_experts_per_tok": 8, "routed_scaling_factor": 2.827,
         "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_rope_head_dim": 64, "v_head_dim": 128,
         "qk_nope_head_dim": 128, "topk_method": "noaux_tc", "n_group": 1, "topk_group": 1,
         "moe_layer_freq": 1, "first_k_dense_replace": 1, "norm_topk_prob": true,
         "scoring_func": "sigmoid", "hidden_act": "silu", "rms_norm_eps": 1e-06,
         "rope_theta": 50000.0, "rope_scaling": {"type": "yarn", "factor": 32.0, "beta_fast": 1.0,
         "beta_slow": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0,
         "original_max_position_embeddings": 4096}, "max_position_embeddings": 131072,
         "vocab_size": 163840, "tie_word_embeddings": false, "attention_bias": false,
         "num_nextn_predict_layers": 0, "bos_token_id": 163584, "eos_token_id": 163585,
         "quantization_config": {"quant_method": "fp8", "fmt": "e4m3",
         "activation_scheme": "dynamic", "weight_block_size": [128, 128]}}
        """
            .formatted(layers));
    return ModelConfig.load(folder);
  }

  /** Loads every weight, {@code threads} layers or tables at a time. */
  static ModelWeights load(ModelConfig config, Storage storage, int threads) throws Exception {
    ExecutorService pool = Executors.newFixedThreadPool(threads);
    try {
      List<Future<LayerWeights>> layers =
          IntStream.range(0, config.numHiddenLayers())
              .mapToObj(i -> pool.submit(() -> layer(config, i, storage)))
              .toList();
      int hidden = config.hiddenSize();
      var table = new Numbers("table", config.vocabSize(), hidden, 1, 0);
      var head = new Numbers("head", config.vocabSize(), hidden, 0.02f, 0);
      var embedding = pool.submit(() -> storage.table(table));
      var lmHead = pool.submit(() -> storage.head(head));
      List<LayerWeights> loaded = new ArrayList<>();
      for (Future<LayerWeights> layer : layers) {
        loaded.add(layer.get());
      }
      return new ModelWeights(
          embedding.get(), loaded, storage.vector(gain("norm", hidden)), lmHead.get());
    } finally {
      pool.shutdown();
    }
  }

  private static MatrixSource gain(String name, int width) {
    return new Numbers(name, 1, width, 0.1f, 1);
  }

  private static LayerWeights layer(ModelConfig config, int i, Storage storage) {
    Attention shape = config.attention();
    int hidden = config.hiddenSize();
    int rank = config.qLoraRank().orElseThrow();
    String name = "layer " + i + " ";
    int up = shape.heads() * (shape.nopeDim() + shape.valueDim());
    AttentionWeights attention =
        new AttentionWeights(
            storage.vector(gain(name + "input", hidden)),
            storage.queryKeyValueProjection(
                MatrixSource.stack(
                    name + "a",
                    List.of(
                        new Fp8(name + "q_a", rank, hidden),
                        new Fp8(name + "kv_a", shape.cacheColumns(), hidden)))),
            new AttentionWeights.QueryUp(
                storage.vector(gain(name + "q", rank)),
                storage.matrix(new Fp8(name + "q_b", shape.queryColumns(), rank))),
            storage.vector(gain(name + "kv", shape.latentDim())),
            storage.latentProjection(new Fp8(name + "kv_b", up, shape.latentDim()), shape),
            storage.matrix(new Fp8(name + "o", hidden, shape.outputColumns())));
    var norm = storage.vector(gain(name + "post", hidden));
    if (!config.isMoeLayer(i)) {
      return new LayerWeights(
          attention,
          new FeedForward.Dense(norm, mlp(name, config.intermediateSize(), hidden, storage)));
    }
    int width = config.moeIntermediateSize();
    int experts = config.nRoutedExperts();
    List<MatrixSource> gateUp =
        IntStream.range(0, experts).mapToObj(e -> gateUp(name + e, width, hidden)).toList();
    List<MatrixSource> down =
        IntStream.range(0, experts)
            .<MatrixSource>mapToObj(e -> new Fp8(name + e + "down", hidden, width))
            .toList();
    return new LayerWeights(
        attention,
        new FeedForward.MixtureOfExperts(
            norm,
            storage.floatMatrix(new Numbers(name + "gate", experts, hidden, 0.02f, 0)),
            storage.vector(new Numbers(name + "bias", 1, experts, 0.01f, 0)),
            storage.experts(gateUp, down),
            mlp(name + "shared ", width, hidden, storage)));
  }

  private static MatrixSource gateUp(String name, int width, int hidden) {
    return MatrixSource.stack(
        name + "gateUp",
        List.of(new Fp8(name + "gate", width, hidden), new Fp8(name + "up", width, hidden)));
  }

  private static Mlp mlp(String name, int width, int hidden, Storage storage) {
    return new Mlp(
        storage.gateUp(gateUp(name, width, hidden)),
        storage.matrix(new Fp8(name + "down", hidden, width)));
  }
}
