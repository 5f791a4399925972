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
import dev.moontide.checkpoint.StoredMatrix;
import dev.moontide.model.ModelTensors.MlpTensors;
import dev.moontide.tensor.Attention;
import dev.moontide.tensor.Experts;
import dev.moontide.tensor.MatrixSource;
import dev.moontide.tensor.Storage;
import dev.moontide.tensor.Weight;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Function;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/** Converts a checkpoint's tensors into a backend's weights. */
final class WeightLoader {
  private final Checkpoint checkpoint;
  private final ModelConfig config;
  private final Storage storage;
  private final TensorInventory inventory;
  private final Conversions conversions;
  private final AtomicLong bytes = new AtomicLong();

  WeightLoader(Checkpoint checkpoint, ModelConfig config, Storage storage, int threads) {
    this.checkpoint = checkpoint;
    this.config = config;
    this.storage = storage;
    this.inventory = TensorInventory.of(config, checkpoint);
    this.conversions = new Conversions(threads);
  }

  LoadedWeights load() {
    long start = System.nanoTime();
    ModelWeights weights;
    try {
      Problems problems = new Problems();
      inventory.check(checkpoint, problems);
      problems.throwIfAny(checkpoint.folder());
      weights = convert(inventory.layout());
    } catch (RuntimeException | Error e) {
      conversions.stop(e);
      try {
        storage.close();
      } catch (RuntimeException suppressed) {
        e.addSuppressed(suppressed);
      }
      throw e;
    }
    double seconds = (System.nanoTime() - start) / 1e9;
    return new LoadedWeights(weights, bytes.get(), seconds);
  }

  /** Submits every conversion before it waits for any. */
  private ModelWeights convert(ModelTensors model) {
    Supplier<Weight> embedding = convert(model.embedding(), storage::table);
    Supplier<Weight> lmHead =
        convert(model.lmHead() == null ? model.embedding() : model.lmHead(), storage::head);
    List<Supplier<LayerWeights>> layers = model.layers().stream().map(this::layer).toList();
    Supplier<Weight> norm = convert(model.norm(), storage::vector);
    conversions.await();
    storage.finishLoading();
    return new ModelWeights(
        embedding.get(), layers.stream().map(Supplier::get).toList(), norm.get(), lmHead.get());
  }

  private Supplier<LayerWeights> layer(ModelTensors.Layer layer) {
    Supplier<AttentionWeights> attention = attention(layer.attention());
    Supplier<Weight> norm = convert(layer.feedForwardNorm(), storage::vector);
    Supplier<FeedForward> feedForward =
        layer.mlp() != null
            ? dense(norm, layer.mlp())
            : mixture(norm, Objects.requireNonNull(layer.experts()));
    return () -> new LayerWeights(attention.get(), feedForward.get());
  }

  private Supplier<AttentionWeights> attention(ModelTensors.Attention tensors) {
    Supplier<Weight> inputNorm = convert(tensors.inputNorm(), storage::vector);
    Supplier<Weight> queryKeyValueA =
        convert(List.of(tensors.queryA(), tensors.keyValueA()), storage::queryKeyValueProjection);
    Supplier<AttentionWeights.@Nullable QueryUp> queryUp = queryUp(tensors.queryUp());
    Supplier<Weight> latentNorm = convert(tensors.latentNorm(), storage::vector);
    Attention shape = config.attention();
    Supplier<Weight> latentUp =
        convert(tensors.latentUp(), source -> storage.latentProjection(source, shape));
    Supplier<Weight> output = convert(tensors.output(), storage::matrix);
    return () ->
        new AttentionWeights(
            inputNorm.get(),
            queryKeyValueA.get(),
            queryUp.get(),
            latentNorm.get(),
            latentUp.get(),
            output.get());
  }

  private Supplier<AttentionWeights.@Nullable QueryUp> queryUp(
      ModelTensors.@Nullable QueryUp tensors) {
    if (tensors == null) {
      return () -> null;
    }
    Supplier<Weight> norm = convert(tensors.norm(), storage::vector);
    Supplier<Weight> projection = convert(tensors.projection(), storage::matrix);
    return () -> new AttentionWeights.QueryUp(norm.get(), projection.get());
  }

  private Supplier<FeedForward> dense(Supplier<Weight> norm, MlpTensors tensors) {
    Supplier<Mlp> mlp = mlp(tensors);
    return () -> new FeedForward.Dense(norm.get(), mlp.get());
  }

  private Supplier<FeedForward> mixture(Supplier<Weight> norm, ModelTensors.Experts tensors) {
    Supplier<Weight> gate = convert(tensors.gate(), storage::floatMatrix);
    Supplier<Weight> bias = convert(tensors.bias(), storage::vector);
    Supplier<Experts> routed =
        conversions.submit(
            "the experts beside " + tensors.gate().name(),
            () ->
                storage.experts(
                    tensors.routed().stream().map(this::gateUp).toList(),
                    tensors.routed().stream().map(expert -> source(expert.down())).toList()));
    Supplier<Mlp> shared = tensors.shared() == null ? null : mlp(tensors.shared());
    return () ->
        new FeedForward.MixtureOfExperts(
            norm.get(), gate.get(), bias.get(), routed.get(), shared == null ? null : shared.get());
  }

  private Supplier<Mlp> mlp(MlpTensors tensors) {
    Supplier<Weight> gateUp = convert(List.of(tensors.gate(), tensors.up()), storage::gateUp);
    Supplier<Weight> down = convert(tensors.down(), storage::matrix);
    return () -> new Mlp(gateUp.get(), down.get());
  }

  private MatrixSource gateUp(MlpTensors tensors) {
    return stack(List.of(tensors.gate(), tensors.up()));
  }

  private Supplier<Weight> convert(
      ExpectedTensor tensor, Function<MatrixSource, Weight> conversion) {
    return conversions.submit(tensor.name(), () -> conversion.apply(source(tensor)));
  }

  /** Converts {@code tensors} stacked by rows. */
  private Supplier<Weight> convert(
      List<ExpectedTensor> tensors, Function<MatrixSource, Weight> conversion) {
    return conversions.submit(tensors.get(0).name(), () -> conversion.apply(stack(tensors)));
  }

  private MatrixSource stack(List<ExpectedTensor> tensors) {
    return MatrixSource.stack(
        String.join(" above ", tensors.stream().map(ExpectedTensor::name).toList()),
        tensors.stream().map(this::source).toList());
  }

  private MatrixSource source(ExpectedTensor tensor) {
    StoredMatrix source = inventory.source(tensor, checkpoint);
    bytes.addAndGet(source.storedBytes());
    return source;
  }
}
