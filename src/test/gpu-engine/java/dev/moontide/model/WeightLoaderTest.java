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
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.api.MoontideException;
import dev.moontide.checkpoint.Checkpoint;
import dev.moontide.checkpoint.StoredTensor;
import dev.moontide.checkpoint.StoredType;
import dev.moontide.checkpoint.TestCheckpoint;
import dev.moontide.model.FeedForward.Dense;
import dev.moontide.model.FeedForward.MixtureOfExperts;
import dev.moontide.model.RecordingOps.Loaded;
import dev.moontide.model.RecordingOps.LoadedExperts;
import dev.moontide.tensor.Weight;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class WeightLoaderTest {
  @TempDir Path folder;

  private final RecordingOps recording = new RecordingOps(name -> {});

  private LoadedWeights load(Path checkpoint, RecordingOps ops) {
    return ModelWeights.load(
        Checkpoint.open(checkpoint), ModelConfig.load(checkpoint), ops.ops(), 3);
  }

  private static void assertLoaded(Weight weight, String how, String name, int rows, int columns) {
    Loaded loaded = assertInstanceOf(Loaded.class, weight);
    assertEquals(new Loaded(how, name, rows, columns, loaded.first(), loaded.last()), loaded);
  }

  @ParameterizedTest
  @ValueSource(strings = {"micro-k2", "micro-grouped", "micro-int4", "micro-k2dims-fp8"})
  void everyTensorIsLoadedOnce(String model) {
    LoadedWeights loaded = load(fixture(model), recording);
    ModelConfig config = ModelConfig.load(fixture(model));
    assertEquals(config.numHiddenLayers(), loaded.weights().layers().size());
    List<String> names =
        recording.begun.stream()
            .flatMap(name -> List.of(name.split(" above ")).stream())
            .map(name -> name.replace("_packed", ""))
            .sorted()
            .toList();
    assertEquals(
        TensorInventory.of(config).tensors().stream().map(ExpectedTensor::name).sorted().toList(),
        names);
    long stored =
        Checkpoint.open(fixture(model)).tensors().stream()
            .filter(tensor -> !tensor.name().endsWith("_shape"))
            .mapToLong(StoredTensor::bytes)
            .sum();
    assertEquals(stored, loaded.bytes());
    assertTrue(loaded.gigabytesPerSecond() > 0);
    assertEquals(0, recording.closed.get());
  }

  @Test
  void weightsTakeTheirPlaces() {
    ModelWeights weights = load(fixture("micro-grouped"), recording).weights();
    assertLoaded(weights.embedding(), "table", "model.embed_tokens.weight", 512, 64);
    assertLoaded(weights.norm(), "vector", "model.norm.weight", 1, 64);
    assertLoaded(weights.lmHead(), "head", "lm_head.weight", 512, 64);

    String layer = "model.layers.1.";
    LayerWeights dense = weights.layers().get(1);
    AttentionWeights attention = dense.attention();
    String self = layer + "self_attn.";
    assertLoaded(attention.inputNorm(), "vector", layer + "input_layernorm.weight", 1, 64);
    assertLoaded(
        attention.queryKeyValueA(),
        "queryKeyValueProjection",
        self + "q_a_proj.weight above " + self + "kv_a_proj_with_mqa.weight",
        40 + 40,
        64);
    AttentionWeights.QueryUp queryUp = Objects.requireNonNull(attention.queryUp());
    assertLoaded(queryUp.norm(), "vector", self + "q_a_layernorm.weight", 1, 40);
    assertLoaded(queryUp.projection(), "matrix", self + "q_b_proj.weight", 4 * 24, 40);
    assertLoaded(attention.latentNorm(), "vector", self + "kv_a_layernorm.weight", 1, 32);
    assertLoaded(attention.latentUp(), "latentProjection4", self + "kv_b_proj.weight", 4 * 40, 32);
    assertLoaded(attention.output(), "matrix", self + "o_proj.weight", 64, 4 * 24);
    Dense mlp = assertInstanceOf(Dense.class, dense.feedForward());
    assertLoaded(mlp.norm(), "vector", layer + "post_attention_layernorm.weight", 1, 64);
    String gate = layer + "mlp.gate_proj.weight above " + layer + "mlp.up_proj.weight";
    assertLoaded(mlp.mlp().gateUp(), "gateUp", gate, 320, 64);
    assertLoaded(mlp.mlp().down(), "matrix", layer + "mlp.down_proj.weight", 64, 160);

    MixtureOfExperts moe =
        assertInstanceOf(MixtureOfExperts.class, weights.layers().get(3).feedForward());
    String experts = "model.layers.3.mlp.";
    assertLoaded(moe.gate(), "floatMatrix", experts + "gate.weight", 16, 64);
    assertLoaded(moe.bias(), "vector", experts + "gate.e_score_correction_bias", 1, 16);
    LoadedExperts routed = assertInstanceOf(LoadedExperts.class, moe.experts());
    assertEquals(16, routed.count());
    String last = experts + "experts.15.";
    assertLoaded(
        routed.gateUp().get(15),
        "gateUp",
        last + "gate_proj.weight above " + last + "up_proj.weight",
        96,
        64);
    assertLoaded(routed.down().get(15), "down", last + "down_proj.weight", 64, 48);
    Mlp shared = Objects.requireNonNull(moe.shared());
    assertLoaded(shared.down(), "matrix", experts + "shared_experts.down_proj.weight", 64, 96);
  }

  /** A copy of micro-k2, changed in its tensors and its config. */
  private Path changed(TestCheckpoint tensors, String... configReplacements) throws IOException {
    String config = Files.readString(fixture("micro-k2").resolve("config.json"));
    for (int i = 0; i < configReplacements.length; i += 2) {
      assertTrue(config.contains(configReplacements[i]), configReplacements[i]);
      config = config.replace(configReplacements[i], configReplacements[i + 1]);
    }
    Files.writeString(folder.resolve("config.json"), config);
    return tensors.write(folder);
  }

  @Test
  void queriesWithoutALatentTiedEmbeddingsAndNoSharedExperts() throws IOException {
    TestCheckpoint tensors = TestCheckpoint.copyOf(fixture("micro-k2")).remove("lm_head.weight");
    for (String name : tensors.names()) {
      if (name.contains("shared_experts") || name.contains(".q_a_")) {
        tensors.remove(name);
      } else if (name.contains(".q_b_proj")) {
        tensors
            .remove(name)
            .put(
                name.replace("q_b_proj", "q_proj"),
                StoredType.BF16,
                List.of(96L, 64L),
                new byte[2 * 96 * 64]);
      }
    }
    changed(
        tensors,
        "\"q_lora_rank\": 40",
        "\"q_lora_rank\": null",
        "\"tie_word_embeddings\": false",
        "\"tie_word_embeddings\": true",
        "\"n_shared_experts\": 1",
        "\"n_shared_experts\": null");
    ModelWeights weights = load(folder, recording).weights();
    assertLoaded(weights.lmHead(), "head", "model.embed_tokens.weight", 512, 64);
    AttentionWeights attention = weights.layers().get(0).attention();
    assertNull(attention.queryUp());
    assertLoaded(
        attention.queryKeyValueA(),
        "queryKeyValueProjection",
        "model.layers.0.self_attn.q_proj.weight above"
            + " model.layers.0.self_attn.kv_a_proj_with_mqa.weight",
        96 + 40,
        64);
    MixtureOfExperts moe =
        assertInstanceOf(MixtureOfExperts.class, weights.layers().get(1).feedForward());
    assertNull(moe.shared());
  }

  @Test
  void namesOfAMultimodalModelAndTensorsNobodyNeeds() throws IOException {
    TestCheckpoint tensors = TestCheckpoint.copyOf(fixture("micro-k2"));
    tensors.put(
        "model.layers.0.self_attn.rotary_emb.inv_freq", StoredType.F32, List.of(4L), new byte[16]);
    tensors.put("model.layers.3.eh_proj.weight", StoredType.F32, List.of(1L), new byte[4]);
    for (String name : tensors.names()) {
      tensors.rename(name, "language_model." + name);
    }
    tensors.put("vision_tower.patch_embed.weight", StoredType.F32, List.of(1L), new byte[4]);
    changed(tensors, "\"num_nextn_predict_layers\": 0", "\"num_nextn_predict_layers\": 1");
    Path config = folder.resolve("config.json");
    assertTrue(
        messageOf(() -> load(folder, recording))
            .endsWith(
                "1 tensors are not of this model by its config.json:"
                    + " vision_tower.patch_embed.weight"));
    Files.writeString(
        config, "{\"model_type\":\"kimi_k25\",\"text_config\":" + Files.readString(config) + "}");
    assertNotNull(load(folder, recording));
  }

  @Test
  void aCheckpointMadeUpFromTheInventoryLoads() throws IOException {
    TestCheckpoint made = new TestCheckpoint();
    ModelConfig config = ModelConfig.load(fixture("micro-grouped"));
    for (ExpectedTensor tensor : TensorInventory.of(config).tensors()) {
      made.put(
          tensor.name(),
          StoredType.BF16,
          tensor.shape(),
          new byte[Math.toIntExact(2 * tensor.elements())]);
    }
    Files.copy(fixture("micro-grouped").resolve("config.json"), folder.resolve("config.json"));
    made.write(folder);
    assertEquals(2 * config.totalParameters(), load(folder, recording).bytes());
  }

  @Test
  void nothingIsLoadedFromACheckpointWithProblems() throws IOException {
    TestCheckpoint tensors =
        TestCheckpoint.copyOf(fixture("micro-k2"))
            .remove("model.norm.weight")
            .rename("lm_head.weight", "lm_head.wait");
    changed(tensors, "\"v_head_dim\": 24", "\"v_head_dim\": 32");
    String message = messageOf(() -> load(folder, recording)).replace(folder.toString(), "DIR");
    assertTrue(message.startsWith("DIR: 9 problems\n"), message);
    assertTrue(
        message.contains(
            "\n  DIR: tensor model.norm.weight is missing, expected [BF16, F16, F32] [64]\n"),
        message);
    assertTrue(
        message.contains(
            "\n  DIR: tensor model.layers.2.self_attn.o_proj.weight is BF16 [64, 96], expected"
                + " [BF16, F16, F32] [64, 128]\n"),
        message);
    assertTrue(
        message.endsWith(
            "\n  DIR: 1 tensors are not of this model by its config.json: lm_head.wait"),
        message);
    assertTrue(recording.begun.isEmpty());
    assertEquals(1, recording.closed.get());
  }

  @Test
  void theFirstFailureStopsTheRestAndClosesTheOps() {
    CountDownLatch failed = new CountDownLatch(1);
    RuntimeException cause = new IllegalStateException("out of device memory");
    RecordingOps ops =
        new RecordingOps(
            name -> {
              if (name.startsWith("model.layers.0.self_attn.q_a_proj")) {
                failed.countDown();
                throw cause;
              }
              if (name.startsWith("model.layers.0.") || name.contains("lm_head")) {
                awaitUninterruptibly(failed);
                // The failure is noted a moment after it is thrown.
                LockSupport.parkNanos(50_000_000);
              }
            });
    MoontideException error =
        assertThrows(MoontideException.class, () -> load(fixture("micro-grouped"), ops));
    assertEquals(
        "loading model.layers.0.self_attn.q_a_proj.weight: java.lang.IllegalStateException: out of"
            + " device memory",
        error.getMessage());
    assertSame(cause, error.getCause());
    assertEquals(1, ops.closed.get());
    // The three threads may each be in one more; nearly all of the 100 never begin.
    assertTrue(ops.begun.size() < 12, ops.begun.toString());
  }

  private static void awaitUninterruptibly(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void damagedScalesFailTheLoad() throws IOException {
    Path source = fixture("micro-int4");
    Files.copy(source.resolve("config.json"), folder.resolve("config.json"));
    String name = "model.layers.2.mlp.experts.7.down_proj.weight_scale";
    TestCheckpoint.copyOf(source).setShort(name, 9, 0x7fc0).write(folder);
    assertEquals(
        "%s: tensor %s: the scale of block [4, 1] is NaN, expected a finite number: the checkpoint is"
                .formatted(folder.resolve("model.safetensors"), name)
            + " damaged, download it again",
        messageOf(() -> load(folder, recording)));
    assertEquals(1, recording.closed.get());
  }

  @Test
  void anInterruptEndsTheLoad() {
    Checkpoint checkpoint = Checkpoint.open(fixture("micro-k2"));
    ModelConfig config = ModelConfig.load(fixture("micro-k2"));
    Thread.currentThread().interrupt();
    assertEquals(
        "loading the checkpoint was interrupted",
        messageOf(() -> ModelWeights.load(checkpoint, config, recording.ops(), 2)));
    assertTrue(Thread.interrupted());
    assertEquals(1, recording.closed.get());
  }
}
