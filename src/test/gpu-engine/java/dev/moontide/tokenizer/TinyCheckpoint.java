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
package dev.moontide.tokenizer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.moontide.api.MoontideException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.function.Executable;

/** The small instruct checkpoint that comes with the project, and folders like it. */
final class TinyCheckpoint {
  static final Path FOLDER =
      Path.of(System.getProperty("moontide.root"), "examples/models/tiny-k2-instruct");
  static final Tokenizer TOKENIZER = Tokenizer.load(FOLDER);
  static final ChatTemplate CHAT = ChatTemplate.load(FOLDER, TOKENIZER).orElseThrow();

  private static final ObjectMapper MAPPER = new ObjectMapper();

  private TinyCheckpoint() {}

  static JsonNode resource(String name) {
    try {
      return MAPPER.readTree(TinyCheckpoint.class.getResourceAsStream(name));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static int[] ints(JsonNode array) {
    int[] values = new int[array.size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = array.get(i).asInt();
    }
    return values;
  }

  /** A vocabulary of the single bytes and the given tokens, as lines of a file. */
  static List<String> vocabulary(String... tokens) {
    List<String> lines = new ArrayList<>();
    for (int value = 0; value < 256; value++) {
      lines.add(Base64.getEncoder().encodeToString(new byte[] {(byte) value}) + " " + value);
    }
    for (String token : tokens) {
      byte[] bytes = token.getBytes(StandardCharsets.UTF_8);
      lines.add(Base64.getEncoder().encodeToString(bytes) + " " + lines.size());
    }
    return lines;
  }

  static Path write(Path folder, String name, List<String> lines) {
    try {
      return Files.write(folder.resolve(name), lines);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** A folder's tokenizer_config.json with these special tokens and further fields. */
  static Path writeConfig(Path folder, Map<Integer, String> special, Map<String, ?> fields) {
    try {
      Map<String, Object> decoder = new TreeMap<>();
      special.forEach((id, text) -> decoder.put(id.toString(), Map.of("content", text)));
      Map<String, Object> config = new TreeMap<>(fields);
      config.put("added_tokens_decoder", decoder);
      Path file = folder.resolve("tokenizer_config.json");
      MAPPER.writeValue(file.toFile(), config);
      return file;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The message of the error that {@code executable} must throw. */
  static String refusal(MoontideException.Category category, Executable executable) {
    MoontideException e = assertThrows(MoontideException.class, executable);
    assertEquals(category, e.category(), e.toString());
    return e.toString();
  }

  /** A text of up to {@code length} pieces that are hard on a tokenizer. */
  static String randomText(Random random, int length) {
    List<String> pieces =
        List.of(
            "a",
            "B",
            "the ",
            " transfer",
            "'LL",
            "'s",
            "\u017F",
            "1",
            "23",
            " ",
            "  ",
            "\t",
            "\n",
            "\r\n",
            "\u00A0",
            "\u2028",
            "\u001C",
            "\u0085",
            "字",
            "漢",
            "é",
            "e\u0301",
            "ß",
            "Σ",
            "ǅ",
            "ʰ",
            "🎉",
            "👩\u200D👩",
            "\uD840\uDC00",
            "-",
            "!?",
            "_",
            "<|im_end|>",
            "[EOS]",
            "<|",
            "|>",
            "\u0000",
            "\uFFFD",
            "\uFEFF",
            "½",
            "٣");
    StringBuilder text = new StringBuilder();
    int count = random.nextInt(length + 1);
    for (int i = 0; i < count; i++) {
      if (random.nextInt(8) == 0) {
        int point = random.nextInt(Character.MAX_CODE_POINT + 1);
        boolean surrogate = point >= Character.MIN_SURROGATE && point <= Character.MAX_SURROGATE;
        text.appendCodePoint(surrogate ? 'x' : point);
      } else {
        text.append(pieces.get(random.nextInt(pieces.size())));
      }
    }
    return text.toString();
  }
}
