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

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Float32 reference outputs of a small checkpoint: {@code golden.json} beside its logits. */
public final class Golden {
  /** The small checkpoints that come with references. */
  public static final List<String> MODELS =
      List.of("micro-k2", "micro-grouped", "micro-int4", "micro-k2dims-fp8");

  private final List<Case> cases = new ArrayList<>();

  /** One prompt: logits at every position and 24 tokens decoded greedily. */
  public static final class Case {
    private final int[] ids;
    private final int[] greedy;
    private final FloatBuffer logits;
    private final int vocabulary;

    Case(int[] ids, int[] greedy, FloatBuffer logits, int vocabulary) {
      this.ids = ids;
      this.greedy = greedy;
      this.logits = logits;
      this.vocabulary = vocabulary;
    }

    public int[] ids() {
      return ids.clone();
    }

    public int[] greedy() {
      return greedy.clone();
    }

    /** Logits after the token at {@code position}. */
    public float[] logits(int position) {
      float[] row = new float[vocabulary];
      logits.get(position * vocabulary, row);
      return row;
    }
  }

  private Golden() {}

  /** The folder of a small checkpoint. */
  public static Path folder(String model) {
    return Path.of(
        System.getProperty("moontide.root"), "src/test/gpu-engine/resources/models", model);
  }

  /** Reads the references of a small checkpoint. */
  public static Golden load(String model) {
    Path folder = folder(model);
    try {
      JsonNode root = new ObjectMapper().readTree(folder.resolve("golden.json").toFile());
      ByteBuffer bytes =
          ByteBuffer.wrap(Files.readAllBytes(folder.resolve(root.get("file").asText())))
              .order(ByteOrder.LITTLE_ENDIAN);
      Golden golden = new Golden();
      for (JsonNode node : root.get("cases")) {
        FloatBuffer logits =
            bytes
                .slice(
                    node.get("logits_offset").asInt(),
                    bytes.capacity() - node.get("logits_offset").asInt())
                .order(ByteOrder.LITTLE_ENDIAN)
                .asFloatBuffer();
        golden.cases.add(
            new Case(
                ints(node.get("ids")),
                ints(node.get("greedy")),
                logits,
                node.get("logits_shape").get(1).asInt()));
      }
      return golden;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static int[] ints(JsonNode array) {
    int[] values = new int[array.size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = array.get(i).asInt();
    }
    return values;
  }

  public List<Case> cases() {
    return List.copyOf(cases);
  }
}
