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
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.moontide.checkpoint.StoredType;
import dev.moontide.checkpoint.TestCheckpoint;
import dev.moontide.tensor.DType;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class InspectionTest {
  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(strings = {"micro-k2", "micro-grouped", "micro-int4", "micro-k2dims-fp8"})
  void theSmallCheckpointsPass(String model) {
    Inspection inspection = Inspection.of(fixture(model));
    assertEquals(List.of(), inspection.problems());
    assertTrue(inspection.passed());
  }

  @Test
  void countsAndSizes() {
    Inspection inspection = Inspection.of(fixture("micro-k2"));
    Inspection.Model model = Objects.requireNonNull(inspection.model());
    assertEquals("kimi_k2", model.modelType());
    assertEquals(2, model.moeLayers());
    // All of it is BF16 but the two biases of 8 experts.
    assertEquals(Map.of(StoredType.BF16, 649_008L, StoredType.F32, 64L), inspection.storedBytes());
    assertEquals(649_008 / 2 + 16, model.totalParameters());
    // Less the embedding and 5 of 8 experts of 3·48·64 in two layers.
    assertEquals(
        model.totalParameters() - 512 * 64 - 2 * 5 * 3 * 48 * 64, model.activeParameters());
    // Norms (7·64 + 3·(40 + 32)) and routers (2·(8·64 + 8)) stay float32.
    long floats = 7 * 64 + 3 * 72 + 2 * 520;
    assertEquals(
        List.of(
            new Inspection.Memory(
                DType.BF16, 2 * (model.totalParameters() - floats) + 4 * floats, 3 * 40 * 2),
            new Inspection.Memory(DType.F32, 4 * model.totalParameters(), 3 * 40 * 4)),
        model.memory());
  }

  @Test
  void textForAPerson() {
    Inspection inspection = Inspection.of(fixture("micro-k2dims-fp8"));
    assertEquals(
        List.of(
            inspection.folder(),
            "architecture  kimi_k2: 2 layers, 1 of them with 4 experts (2 a token, 1 shared), hidden"
                + " 256, 2 heads, vocabulary 300, 2048 positions",
            "parameters    2.6 M, 2.2 M active per token",
            "stored as     FP8 E4M3, a scale for each 128 × 128",
            "files         69 tensors, 2.7 MiB (F8_E4M3 2.4 MiB, BF16 307.3 KiB, F32 648 B)",
            "in bf16       5.0 MiB of weights, 2.3 KiB of cache per token",
            "in f32        10.0 MiB of weights, 4.5 KiB of cache per token",
            "problems      none"),
        InspectionText.lines(inspection));
  }

  @Test
  void everyProblemAtOnce() throws IOException {
    Path source = fixture("micro-k2dims-fp8");
    Files.copy(source.resolve("config.json"), folder.resolve("config.json"));
    TestCheckpoint.copyOf(source)
        .remove("model.norm.weight")
        .setFloat("model.layers.0.mlp.up_proj.weight_scale_inv", 5, Float.POSITIVE_INFINITY)
        .setFloat("model.layers.1.self_attn.o_proj.weight_scale_inv", 0, Float.NaN)
        .put("model.layers.0.input_layernorm.weight", StoredType.I8, List.of(256L), new byte[256])
        .put("extra.1", StoredType.I8, List.of(1L), new byte[1])
        .put("extra.2", StoredType.I8, List.of(1L), new byte[1])
        .write(folder);
    Inspection inspection = Inspection.of(folder);
    assertFalse(inspection.passed());
    assertEquals(
        List.of(
            "DIR: tensor model.layers.0.input_layernorm.weight is I8 [256], expected [BF16, F16,"
                + " F32] [256]",
            "DIR: tensor model.norm.weight is missing, expected [BF16, F16, F32] [256]",
            "DIR: 2 tensors are not of this model by its config.json: extra.1, extra.2",
            "DIR/model.safetensors: tensor model.layers.0.mlp.up_proj.weight_scale_inv: the scale of block [2, 1] is"
                + " Infinity, expected a finite number: the checkpoint is damaged, download it"
                + " again",
            "DIR/model.safetensors: tensor model.layers.1.self_attn.o_proj.weight_scale_inv: the scale of block [0, 0] is"
                + " NaN, expected a finite number: the checkpoint is damaged, download it again"),
        inspection.problems().stream().map(p -> p.replace(folder.toString(), "DIR")).toList());
    List<String> lines = InspectionText.lines(inspection);
    assertTrue(lines.contains("problems      5"), lines.toString());
    assertEquals("  - " + inspection.problems().get(4), lines.get(lines.size() - 1));
  }

  @Test
  void aBrokenConfigDoesNotHideBrokenFiles() throws IOException {
    Files.writeString(folder.resolve("config.json"), "{\"model_type\":\"gpt2\"}");
    Files.write(folder.resolve("model.safetensors"), new byte[3]);
    Inspection inspection = Inspection.of(folder);
    assertNull(inspection.model());
    assertEquals(2, inspection.problems().size());
    assertTrue(inspection.problems().get(0).contains("has 3 bytes"));
    assertTrue(inspection.problems().get(1).endsWith("expected kimi_k2 or deepseek_v3"));
    assertEquals(
        List.of(folder.toString(), "problems      2"),
        InspectionText.lines(inspection).subList(0, 2));
  }

  @Test
  void whatReadsTextIsInspectedToo() throws IOException {
    Path model = Path.of(System.getProperty("moontide.root"), "examples/models/tiny-k2-instruct");
    try (Stream<Path> files = Files.list(model)) {
      for (Path file : files.toList()) {
        Files.copy(file, folder.resolve(file.getFileName()));
      }
    }
    assertEquals(List.of(), Inspection.of(folder).problems());
    for (String file :
        List.of("tiktoken.model", "tokenizer_config.json", "generation_config.json")) {
      byte[] whole = Files.readAllBytes(folder.resolve(file));
      Files.write(folder.resolve(file), Arrays.copyOf(whole, whole.length / 2));
      List<String> problems = Inspection.of(folder).problems();
      assertEquals(1, problems.size(), problems::toString);
      assertTrue(problems.get(0).startsWith(folder.resolve(file).toString()), problems::toString);
      assertFalse(problems.get(0).contains("REDACTED"), problems::toString);
      Files.write(folder.resolve(file), whole);
    }
    Files.writeString(folder.resolve("chat_template.jinja"), "{% for m in messages %}{{ m.content");
    List<String> problems = Inspection.of(folder).problems();
    assertEquals(1, problems.size(), problems::toString);
    assertTrue(problems.get(0).contains("chat_template.jinja, line 1"), problems::toString);
  }

  @Test
  void aFolderThatIsNotThere() {
    Inspection inspection = Inspection.of(folder.resolve("none"));
    assertEquals(2, inspection.problems().size(), inspection.problems().toString());
  }

  @Test
  void isJsonSerialisable() throws IOException {
    ObjectMapper json = new ObjectMapper();
    Inspection inspection = Inspection.of(fixture("micro-int4"));
    JsonNode tree = json.readTree(json.writeValueAsString(inspection));
    assertEquals("kimi_k2", tree.at("/model/modelType").textValue());
    assertTrue(tree.at("/storedBytes/I32").longValue() > 0);
    assertEquals("BF16", tree.at("/model/memory/0/type").textValue());
    assertEquals(inspection, json.treeToValue(tree, Inspection.class));
  }
}
