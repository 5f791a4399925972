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
import dev.moontide.checkpoint.Checkpoint;
import dev.moontide.checkpoint.Problems;
import dev.moontide.checkpoint.Quantization;
import dev.moontide.checkpoint.StoredMatrix;
import dev.moontide.model.ExpectedTensor.Kind;
import dev.moontide.tensor.DType;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.ToLongFunction;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Every tensor a config calls for: the one table by which weights are loaded, checkpoints are
 * inspected and made up, and parameters are counted.
 */
public final class TensorInventory {
  /** Begins all names where the language model is part of a multimodal one. */
  private static final String NESTED_PREFIX = "language_model.";

  private static final Pattern LAYER = Pattern.compile("model\\.layers\\.(\\d{1,6})\\..+");

  /** Names listed of those nothing is known about. */
  private static final int LISTED = 5;

  private final ModelConfig config;
  private final String prefix;
  private final ModelTensors tensors;

  private TensorInventory(ModelConfig config, String prefix) {
    this.config = config;
    this.prefix = prefix;
    this.tensors = ModelTensors.of(config, prefix);
  }

  /** The tensors {@code config} calls for. */
  public static TensorInventory of(ModelConfig config) {
    return new TensorInventory(config, "");
  }

  /** The tensors {@code config} calls for, named as {@code checkpoint} names them. */
  static TensorInventory of(ModelConfig config, Checkpoint checkpoint) {
    boolean nested = checkpoint.names().stream().anyMatch(name -> name.startsWith(NESTED_PREFIX));
    return new TensorInventory(config, nested ? NESTED_PREFIX : "");
  }

  /**
   * Checks that the checkpoint in {@code folder} has what its config calls for; reads the headers
   * of its files alone.
   *
   * @throws MoontideException that lists everything wrong with it
   */
  public static void check(Path folder) {
    ModelConfig config = ModelConfig.load(folder);
    Checkpoint checkpoint = Checkpoint.open(folder);
    Problems problems = new Problems();
    of(config, checkpoint).check(checkpoint, problems);
    problems.throwIfAny(folder);
  }

  /** All of them, in the order of the model. */
  public List<ExpectedTensor> tensors() {
    return tensors.all();
  }

  ModelTensors layout() {
    return tensors;
  }

  /** Parameters of the model: every weight, the router's bias included. */
  public long totalParameters() {
    return sum(ExpectedTensor::elements);
  }

  /**
   * Parameters a token is multiplied with: all but the experts it does not choose and the
   * embedding, of which it takes one row (unless that is the output projection too).
   */
  public long activeParameters() {
    return sum(
        tensor ->
            switch (tensor.kind()) {
              case VECTOR, FLOAT_MATRIX, LINEAR -> tensor.elements();
              case TABLE -> config.tieWordEmbeddings() ? tensor.elements() : 0;
              // Experts are equal in size, so the sum over all of them is a whole number.
              case EXPERT ->
                  tensor.elements() * config.numExpertsPerTok() / config.nRoutedExperts();
            });
  }

  /** Bytes of the weights on a backend that computes with {@code type}. */
  public long bytes(DType type) {
    return sum(
        tensor ->
            switch (tensor.kind()) {
              case VECTOR, FLOAT_MATRIX -> tensor.elements() * DType.F32.bytes();
              case TABLE, LINEAR, EXPERT -> tensor.elements() * type.bytes();
            });
  }

  private long sum(ToLongFunction<ExpectedTensor> size) {
    return tensors.all().stream().mapToLong(size).sum();
  }

  /**
   * Adds what is missing from {@code checkpoint}, of another shape or type, or unknown.
   *
   * @return the tensors that are as expected
   */
  List<StoredMatrix> check(Checkpoint checkpoint, Problems problems) {
    List<StoredMatrix> sound = new ArrayList<>();
    Set<String> known = new HashSet<>();
    for (ExpectedTensor tensor : tensors.all()) {
      problems.attempt(() -> source(tensor, checkpoint)).ifPresent(sound::add);
      known.addAll(
          tensor.kind() == Kind.LINEAR || tensor.kind() == Kind.EXPERT
              ? Quantization.tensorNames(tensor.name())
              : List.of(tensor.name()));
    }
    List<String> unknown =
        checkpoint.names().stream()
            .filter(name -> !known.contains(name) && !isUnused(name))
            .toList();
    if (!unknown.isEmpty()) {
      problems.add(
          "%s: %d tensors are not of this model by its config.json: %s%s",
          checkpoint.folder(),
          unknown.size(),
          String.join(", ", unknown.subList(0, Math.min(LISTED, unknown.size()))),
          unknown.size() > LISTED ? ", …" : "");
    }
    return sound;
  }

  /** The tensor as the checkpoint stores it. */
  StoredMatrix source(ExpectedTensor tensor, Checkpoint checkpoint) {
    return tensor.in(checkpoint, config.quantization());
  }

  /** Whether a tensor is known and not needed. */
  private boolean isUnused(String name) {
    if (!name.startsWith(prefix)) {
      // What a multimodal model holds beside its language model: its vision tower, a projector.
      return config.nested();
    }
    String own = name.substring(prefix.length());
    // A table of frequencies, which the config gives too.
    return own.endsWith(".self_attn.rotary_emb.inv_freq")
        || (config.tieWordEmbeddings() && own.equals("lm_head.weight"))
        || isPredictionLayer(own);
  }

  /** The layers after the last predict further tokens ({@code num_nextn_predict_layers}). */
  private boolean isPredictionLayer(String name) {
    Matcher layer = LAYER.matcher(name);
    if (!layer.matches()) {
      return false;
    }
    int beyond = Integer.parseInt(layer.group(1)) - config.numHiddenLayers();
    return beyond >= 0 && beyond < config.numNextnPredictLayers();
  }
}
