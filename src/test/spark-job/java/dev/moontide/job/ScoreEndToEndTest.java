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
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.moontide.tokenizer.Tokenizer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.Test;

/** {@code score} on text and on token ids. */
class ScoreEndToEndTest extends EndToEnd {
  private static final Path GOLDENS =
      EXAMPLES.resolveSibling("src/test/gpu-engine/resources/goldens");
  private static final ObjectMapper JSON = new ObjectMapper();

  @Test
  void textIsScoredAsItsTokensAre() throws Exception {
    Tokenizer tokenizer = Tokenizer.load(Path.of(MODEL));
    List<String> texts = List.of("what is my balance", "where is my flight", "x", "naïve 文字");
    StringBuilder lines = new StringBuilder();
    for (String text : texts) {
      ObjectNode line = JSON.createObjectNode().put("id", texts.indexOf(text)).put("text", text);
      line.set("ids", JSON.valueToTree(tokenizer.encode(text).toArray()));
      lines.append(line).append('\n');
    }
    String input = write("texts.jsonl", lines.toString());
    done("score", "--input", input, "--output", path("by-text"));
    done("score", "--input", input, "--ids-column", "ids", "--output", path("by-ids"));
    assertEquals(sorted("by-text"), sorted("by-ids"));

    double logprobs = 0;
    int scored = 0;
    for (Row row : output("by-text").orderBy("id").collectAsList()) {
      List<Float> tokens = row.getList(row.fieldIndex("token_logprobs"));
      int length = tokenizer.encode(texts.get((int) row.<Long>getAs("id").longValue())).length();
      assertEquals(length, row.<Integer>getAs("prompt_tokens"));
      assertEquals(0, row.<Integer>getAs("completion_tokens"));
      assertEquals(length - 1, tokens.size());
      double sum = tokens.stream().mapToDouble(p -> p).sum();
      assertEquals(sum, row.<Double>getAs("logprob"), 1e-9);
      if (tokens.isEmpty()) {
        assertTrue(row.isNullAt(row.fieldIndex("perplexity")));
      } else {
        assertTrue(sum < 0);
        assertEquals(Math.exp(-sum / tokens.size()), row.<Double>getAs("perplexity"), 1e-9);
      }
      logprobs += sum;
      scored += tokens.size();
    }
    assertEquals(
        Math.exp(-logprobs / scored), summary("by-text").get("perplexity").asDouble(), 1e-3);
  }

  /** The reference has the logits after each prompt: the next token's score follows from them. */
  @Test
  void scoresEqualTheReference() throws Exception {
    JsonNode golden = JSON.readTree(GOLDENS.resolve("tiny.json").toFile());
    FloatBuffer logits =
        ByteBuffer.wrap(Files.readAllBytes(GOLDENS.resolve(golden.get("file").asText())))
            .order(ByteOrder.LITTLE_ENDIAN)
            .asFloatBuffer();
    StringBuilder lines = new StringBuilder();
    for (int i = 0; i < 16; i++) {
      JsonNode reference = golden.get("cases").get(i);
      ObjectNode line = JSON.createObjectNode().put("id", i);
      line.set("ids", reference.get("ids").deepCopy());
      line.withArray("ids").add(reference.get("greedy").get(0).asInt());
      lines.append(line).append('\n');
    }
    String input = write("ids.jsonl", lines.toString());
    done("score", "--input", input, "--ids-column", "ids", "--output", path("out"));

    List<Row> rows = output("out").orderBy("id").collectAsList();
    assertEquals(16, rows.size());
    for (int i = 0; i < rows.size(); i++) {
      JsonNode reference = golden.get("cases").get(i);
      List<Float> tokens = rows.get(i).getList(rows.get(i).fieldIndex("token_logprobs"));
      assertEquals(reference.get("ids").size(), tokens.size());
      int next = reference.get("greedy").get(0).asInt();
      int offset = reference.get("last_logits_offset").asInt() / Float.BYTES;
      float[] row = new float[golden.get("vocab").asInt()];
      logits.get(offset, row);
      double sum = 0;
      for (float logit : row) {
        sum += Math.exp(logit - row[next]);
      }
      assertEquals(-Math.log(sum), tokens.get(tokens.size() - 1), 1e-4);
    }
  }
}
