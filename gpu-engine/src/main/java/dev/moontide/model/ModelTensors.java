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

import dev.moontide.model.ExpectedTensor.Kind;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * The names and shapes of the tensors a config calls for, in the form of the model; the layout of
 * {@link ModelWeights} before anything is loaded.
 *
 * @param all every tensor, in the order of the model
 * @param lmHead null where the embedding is tied to it
 */
record ModelTensors(
    List<ExpectedTensor> all,
    ExpectedTensor embedding,
    List<Layer> layers,
    ExpectedTensor norm,
    @Nullable ExpectedTensor lmHead) {

  /** A layer has either an {@code mlp} or {@code experts}. */
  record Layer(
      Attention attention,
      ExpectedTensor feedForwardNorm,
      @Nullable MlpTensors mlp,
      @Nullable Experts experts) {}

  /**
   * @param queryA {@code q_a_proj}, or {@code q_proj} without {@code q_lora_rank}
   * @param queryUp null without {@code q_lora_rank}
   */
  record Attention(
      ExpectedTensor inputNorm,
      ExpectedTensor queryA,
      ExpectedTensor keyValueA,
      @Nullable QueryUp queryUp,
      ExpectedTensor latentNorm,
      ExpectedTensor latentUp,
      ExpectedTensor output) {}

  record QueryUp(ExpectedTensor norm, ExpectedTensor projection) {}

  record MlpTensors(ExpectedTensor gate, ExpectedTensor up, ExpectedTensor down) {}

  record Experts(
      ExpectedTensor gate,
      ExpectedTensor bias,
      List<MlpTensors> routed,
      @Nullable MlpTensors shared) {}

  /** The tensors {@code config} calls for, their names beginning with {@code prefix}. */
  static ModelTensors of(ModelConfig config, String prefix) {
    return new Builder(config, prefix).build();
  }

  private static final class Builder {
    private final ModelConfig config;
    private final String prefix;
    private final List<ExpectedTensor> all = new ArrayList<>();

    Builder(ModelConfig config, String prefix) {
      this.config = config;
      this.prefix = prefix;
    }

    ModelTensors build() {
      int hidden = config.hiddenSize();
      int vocabulary = config.vocabSize();
      ExpectedTensor embedding = add("model.embed_tokens.weight", Kind.TABLE, vocabulary, hidden);
      List<Layer> layers =
          IntStream.range(0, config.numHiddenLayers()).mapToObj(this::layer).toList();
      ExpectedTensor norm = vector("model.norm.weight", hidden);
      ExpectedTensor lmHead =
          config.tieWordEmbeddings() ? null : linear("lm_head.weight", vocabulary, hidden);
      return new ModelTensors(List.copyOf(all), embedding, layers, norm, lmHead);
    }

    private Layer layer(int index) {
      String layer = "model.layers." + index + ".";
      Attention attention = attention(layer);
      ExpectedTensor norm = vector(layer + "post_attention_layernorm.weight", config.hiddenSize());
      return config.isMoeLayer(index)
          ? new Layer(attention, norm, null, experts(layer + "mlp."))
          : new Layer(
              attention, norm, mlp(layer + "mlp.", Kind.LINEAR, config.intermediateSize()), null);
    }

    private Attention attention(String layer) {
      String self = layer + "self_attn.";
      int hidden = config.hiddenSize();
      int latent = config.kvLoraRank();
      dev.moontide.tensor.Attention shape = config.attention();
      int queryColumns = shape.queryColumns();
      ExpectedTensor inputNorm = vector(layer + "input_layernorm.weight", hidden);
      ExpectedTensor queryA;
      QueryUp queryUp = null;
      if (config.qLoraRank().isPresent()) {
        int rank = config.qLoraRank().getAsInt();
        queryA = linear(self + "q_a_proj.weight", rank, hidden);
        queryUp =
            new QueryUp(
                vector(self + "q_a_layernorm.weight", rank),
                linear(self + "q_b_proj.weight", queryColumns, rank));
      } else {
        queryA = linear(self + "q_proj.weight", queryColumns, hidden);
      }
      return new Attention(
          inputNorm,
          queryA,
          linear(self + "kv_a_proj_with_mqa.weight", shape.cacheColumns(), hidden),
          queryUp,
          vector(self + "kv_a_layernorm.weight", latent),
          linear(
              self + "kv_b_proj.weight",
              shape.heads() * (shape.nopeDim() + shape.valueDim()),
              latent),
          linear(self + "o_proj.weight", hidden, shape.outputColumns()));
    }

    private Experts experts(String mlp) {
      int count = config.nRoutedExperts();
      int width = config.moeIntermediateSize();
      ExpectedTensor gate = add(mlp + "gate.weight", Kind.FLOAT_MATRIX, count, config.hiddenSize());
      ExpectedTensor bias = vector(mlp + "gate.e_score_correction_bias", count);
      List<MlpTensors> routed =
          IntStream.range(0, count)
              .mapToObj(i -> mlp(mlp + "experts." + i + ".", Kind.EXPERT, width))
              .toList();
      MlpTensors shared =
          config.nSharedExperts() == 0
              ? null
              : mlp(mlp + "shared_experts.", Kind.LINEAR, config.nSharedExperts() * width);
      return new Experts(gate, bias, routed, shared);
    }

    private MlpTensors mlp(String name, Kind kind, int width) {
      int hidden = config.hiddenSize();
      return new MlpTensors(
          add(name + "gate_proj.weight", kind, width, hidden),
          add(name + "up_proj.weight", kind, width, hidden),
          add(name + "down_proj.weight", kind, hidden, width));
    }

    private ExpectedTensor vector(String name, int length) {
      return add(name, Kind.VECTOR, 1, length);
    }

    private ExpectedTensor linear(String name, int rows, int columns) {
      return add(name, Kind.LINEAR, rows, columns);
    }

    private ExpectedTensor add(String name, Kind kind, int rows, int columns) {
      ExpectedTensor tensor = new ExpectedTensor(prefix + name, kind, rows, columns);
      all.add(tensor);
      return tensor;
    }
  }
}
