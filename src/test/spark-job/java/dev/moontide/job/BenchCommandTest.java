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
package dev.moontide.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code bench} on models small enough to measure in a moment: figures are there and add up. */
class BenchCommandTest {
  @TempDir Path folder;

  private JsonNode bench(String... model) throws Exception {
    Path json = folder.resolve("bench.json");
    String[] arguments = {
      "bench",
      "--dtype",
      "f32",
      "--quiet",
      "--prompts",
      "4",
      "--prompt-tokens",
      "20",
      "--new-tokens",
      "5",
      "--sequences",
      "1,4",
      "--json",
      json.toString()
    };
    String[] all = new String[arguments.length + model.length];
    System.arraycopy(arguments, 0, all, 0, arguments.length);
    System.arraycopy(model, 0, all, arguments.length, model.length);
    CommandLineRun run = CommandLineRun.of(all);
    assertEquals(0, run.status(), run.err());
    for (String line :
        new String[] {
          "load",
          "matmul 1024³",
          "prefill, 4 prompts",
          "decode, 1 sequence ",
          "decode, 4 sequences",
          "whole set",
          "time in matmul"
        }) {
      assertTrue(run.out().contains(line), line + " is not in\n" + run.out());
    }
    JsonNode report = new ObjectMapper().readTree(Files.readString(json));
    double matmul = report.get("matmul_gflops").asDouble();
    assertTrue(matmul > 0);
    assertEquals(2, report.get("decode").size());
    for (JsonNode rate : report.findParents("tokens_per_second")) {
      assertTrue(rate.get("tokens_per_second").asDouble() > 0, rate.toString());
      assertEquals(rate.get("gflops").asDouble() / matmul, rate.get("ratio").asDouble(), 1e-9);
    }
    double share = report.get("matmul_share").asDouble();
    assertTrue(share > 0 && share < 1, "share " + share);
    return report;
  }

  @Test
  void aRandomModelHasNoTokenizerToMeasure() throws Exception {
    JsonNode report =
        bench("--shape", "hidden_size=64,num_hidden_layers=2,n_routed_experts=8,vocab_size=256");
    assertTrue(report.get("tokenizer_mb_per_second").isNull());
  }

  @Test
  void aGivenModelIsMeasuredWithItsTokenizer() throws Exception {
    JsonNode report =
        bench(
            "--model",
            Path.of(System.getProperty("moontide.root"), "examples/models/tiny-k2-instruct")
                .toString());
    assertEquals(12.3e6, report.get("parameters").asDouble(), 0.1e6);
    assertTrue(report.get("tokenizer_mb_per_second").asDouble() > 0);
  }
}
