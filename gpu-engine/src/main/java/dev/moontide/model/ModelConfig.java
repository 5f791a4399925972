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

import dev.moontide.api.MoontideException;
import dev.moontide.checkpoint.Problems;
import dev.moontide.checkpoint.Quantization;
import dev.moontide.checkpoint.StrictJson;
import dev.moontide.tensor.Attention;
import dev.moontide.tensor.Rope;
import dev.moontide.tensor.Router;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalInt;
import org.jspecify.annotations.Nullable;

/**
 * What {@code config.json} says of the model, each component under the file's own key: everything
 * that changes the computation, validated.
 *
 * @param file the file, for messages
 * @param nested whether the model is the {@code text_config} of a multimodal one
 * @param moeIntermediateSize width of one expert
 * @param nSharedExperts 0 for none
 * @param qLoraRank empty where one {@code q_proj} makes the query
 * @param ropeScaling yarn, or null for none
 * @param bosTokenId ids that begin a text; may be empty
 * @param eosTokenId ids that end a text; may be empty
 * @param padTokenId ids that fill; may be empty
 * @param numNextnPredictLayers layers after the last that predict further tokens; not used
 * @param quantization how linear weights are stored ({@code quantization_config})
 */
public record ModelConfig(
    String file,
    boolean nested,
    String modelType,
    int hiddenSize,
    int intermediateSize,
    int moeIntermediateSize,
    int numHiddenLayers,
    int numAttentionHeads,
    int nSharedExperts,
    int nRoutedExperts,
    int numExpertsPerTok,
    double routedScalingFactor,
    int kvLoraRank,
    OptionalInt qLoraRank,
    int qkNopeHeadDim,
    int qkRopeHeadDim,
    int vHeadDim,
    int nGroup,
    int topkGroup,
    int moeLayerFreq,
    int firstKDenseReplace,
    boolean normTopkProb,
    double rmsNormEps,
    double ropeTheta,
    @Nullable Yarn ropeScaling,
    int maxPositionEmbeddings,
    int vocabSize,
    boolean tieWordEmbeddings,
    int numNextnPredictLayers,
    List<Integer> bosTokenId,
    List<Integer> eosTokenId,
    List<Integer> padTokenId,
    Quantization quantization) {
  /** Name of the file in a checkpoint's folder. */
  public static final String FILE = "config.json";

  private static final long MAX_FILE_BYTES = 16L << 20;

  /** More than ten times Kimi-K2's 23,424: beyond it the list of tensors alone fills the memory. */
  private static final int MAX_EXPERTS = 1 << 18;

  /** Checks what no single key shows. */
  public ModelConfig {
    bosTokenId = List.copyOf(bosTokenId);
    eosTokenId = List.copyOf(eosTokenId);
    padTokenId = List.copyOf(padTokenId);
    Problems problems = new Problems();
    Check check = new Check(file, problems);
    check.that(
        numExpertsPerTok <= nRoutedExperts,
        "num_experts_per_tok",
        numExpertsPerTok,
        "at most n_routed_experts (" + nRoutedExperts + ")");
    check.that(
        nRoutedExperts % nGroup == 0,
        "n_group",
        nGroup,
        "a divisor of n_routed_experts (" + nRoutedExperts + ")");
    int groupSize = nRoutedExperts / nGroup;
    check.that(
        nGroup == 1 || groupSize >= 2,
        "n_group",
        nGroup,
        "groups of at least two experts, whose best two are the group's score");
    check.that(topkGroup <= nGroup, "topk_group", topkGroup, "at most n_group (" + nGroup + ")");
    check.that(
        (long) topkGroup * groupSize >= numExpertsPerTok,
        "topk_group",
        topkGroup,
        "groups that hold num_experts_per_tok (" + numExpertsPerTok + ") experts");
    check.that(
        firstKDenseReplace <= numHiddenLayers,
        "first_k_dense_replace",
        firstKDenseReplace,
        "at most num_hidden_layers (" + numHiddenLayers + ")");
    check.that(
        (long) numHiddenLayers * nRoutedExperts <= MAX_EXPERTS,
        "n_routed_experts",
        nRoutedExperts,
        "at most " + MAX_EXPERTS + " in all " + numHiddenLayers + " layers");
    check.that(qkRopeHeadDim % 2 == 0, "qk_rope_head_dim", qkRopeHeadDim, "an even number");
    long widestHead = Math.max(qkNopeHeadDim + (long) qkRopeHeadDim, qkNopeHeadDim + vHeadDim);
    check.that(
        numAttentionHeads * widestHead <= Integer.MAX_VALUE / 2,
        "num_attention_heads",
        numAttentionHeads,
        "heads whose width together is below 2^30");
    check.tokenIds("bos_token_id", bosTokenId, vocabSize);
    check.tokenIds("eos_token_id", eosTokenId, vocabSize);
    check.tokenIds("pad_token_id", padTokenId, vocabSize);
    problems.throwIfAny(file);
  }

  private record Check(String file, Problems problems) {
    void that(boolean valid, String key, Object value, String expected) {
      if (!valid) {
        problems.add("%s: %s is %s, expected %s", file, key, value, expected);
      }
    }

    void tokenIds(String key, List<Integer> ids, int vocabSize) {
      for (int id : ids) {
        that(id < vocabSize, key, id, "an id below vocab_size (" + vocabSize + ")");
      }
    }
  }

  /**
   * Reads {@code config.json} in {@code folder}.
   *
   * @throws MoontideException that lists everything wrong with it
   */
  public static ModelConfig load(Path folder) {
    Path path = folder.resolve(FILE);
    return ModelConfigReader.read(path.toString(), StrictJson.readObject(path, MAX_FILE_BYTES));
  }

  /** Whether {@code layer} routes to experts; the others have one MLP for every token. */
  public boolean isMoeLayer(int layer) {
    return layer >= firstKDenseReplace && layer % moeLayerFreq == 0;
  }

  /** The attention's shape; yarn's {@code mscale_all_dim} enters its softmax scale squared. */
  public Attention attention() {
    return new Attention(
        numAttentionHeads,
        qkNopeHeadDim,
        qkRopeHeadDim,
        vHeadDim,
        kvLoraRank,
        (float) softmaxScale(),
        (float) rmsNormEps);
  }

  /** {@code (nope + rope)^-½}, times yarn's {@code m(factor, mscale_all_dim)²}. */
  double softmaxScale() {
    double scale = 1 / Math.sqrt(qkNopeHeadDim + qkRopeHeadDim);
    return ropeScaling == null ? scale : scale * ropeScaling.softmaxFactor();
  }

  /** How tokens choose experts. */
  public Router router() {
    return new Router(
        nRoutedExperts,
        numExpertsPerTok,
        nGroup,
        topkGroup,
        normTopkProb,
        (float) routedScalingFactor);
  }

  /** The rotary embedding, in float64. */
  public Rope rope() {
    Yarn yarn = ropeScaling;
    double[] inverseFrequency = new double[qkRopeHeadDim / 2];
    for (int i = 0; i < inverseFrequency.length; i++) {
      inverseFrequency[i] = Math.pow(ropeTheta, -2.0 * i / qkRopeHeadDim);
    }
    if (yarn == null) {
      return new Rope(inverseFrequency, 1);
    }
    yarn.scale(inverseFrequency, ropeTheta);
    return new Rope(inverseFrequency, yarn.attentionFactor());
  }

  /** Parameters of the model: every weight, the router's bias included. */
  public long totalParameters() {
    return TensorInventory.of(this).totalParameters();
  }

  /**
   * Parameters a token is multiplied with: all but the experts it does not choose and the
   * embedding, of which it takes one row (unless that is the output projection too).
   */
  public long activeParameters() {
    return TensorInventory.of(this).activeParameters();
  }
}
