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

import static dev.moontide.api.MoontideException.Category.CHECKPOINT;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RankFileTest {
  @TempDir Path folder;

  private void assertRefused(List<String> lines, String... says) {
    TinyCheckpoint.write(folder, "tiktoken.model", lines);
    TinyCheckpoint.writeConfig(folder, Map.of(), Map.of());
    String message = TinyCheckpoint.refusal(CHECKPOINT, () -> Tokenizer.load(folder));
    for (String part : says) {
      assertTrue(message.contains(part), message);
    }
  }

  private static List<String> with(String line) {
    List<String> lines = new ArrayList<>(TinyCheckpoint.vocabulary("ab"));
    lines.add(line);
    return lines;
  }

  @Test
  void refusesWhatIsNoVocabulary() {
    assertRefused(with("?? 257"), "tiktoken.model line 258", "'??'", "base64");
    assertRefused(with("YWI="), "line 258", "a space and a rank", "'YWI='");
    assertRefused(with("YWJj 12x"), "line 258", "'YWJj 12x'");
    assertRefused(with("YWJj -1"), "line 258");
    assertRefused(with("YWJj 256"), "line 258", "rank 256 was given before");
    assertRefused(with("YWI= 257"), "line 258", "on line 257 before");
    assertRefused(with("YWJj 300"), "rank 257 is missing");
    assertRefused(with(" 257"), "line 258");
    assertRefused(with("\u0000 257"), "line 258");
    assertRefused(List.of(), "single byte 0x00");
    List<String> noQ = new ArrayList<>(TinyCheckpoint.vocabulary());
    noQ.set('Q', "YWJj 81");
    assertRefused(noQ, "single byte 0x51");
  }

  @Test
  void aHugeRankTakesNoMemory() {
    assertRefused(List.of("AA== 2000000000"), "line 1", "from 0 to 4");
  }

  @Test
  void blankLinesAreNothing() {
    TinyCheckpoint.write(folder, "tiktoken.model", with(""));
    TinyCheckpoint.writeConfig(folder, Map.of(), Map.of());
    assertEquals(257, Tokenizer.load(folder).vocabularySize());
  }

  @Test
  void refusesSpecialTokensThatCannotBe() {
    TinyCheckpoint.write(folder, "tiktoken.model", TinyCheckpoint.vocabulary());
    assertConfigRefused(Map.of(255, "[A]"), "'255'", "from 256");
    assertConfigRefused(Map.of(2_000_000_000, "[A]"), "'2000000000'");
    assertConfigRefused(Map.of(300, ""), "300", "content");
    assertConfigRefused(Map.of(300, "[A]", 301, "[A]"), "'[A]'", "300", "301");
    assertConfigRefused(Map.of(300, "x".repeat(300)), "256 characters");
    TinyCheckpoint.write(folder, "tokenizer_config.json", List.of("{\"added_tokens_decoder\": 1"));
    TinyCheckpoint.refusal(CHECKPOINT, () -> Tokenizer.load(folder));
    TinyCheckpoint.write(folder, "tokenizer_config.json", List.of("[]"));
    TinyCheckpoint.refusal(CHECKPOINT, () -> Tokenizer.load(folder));
  }

  private void assertConfigRefused(Map<Integer, String> special, String... says) {
    TinyCheckpoint.writeConfig(folder, special, Map.of());
    String message = TinyCheckpoint.refusal(CHECKPOINT, () -> Tokenizer.load(folder));
    assertTrue(message.contains("tokenizer_config.json"), message);
    for (String part : says) {
      assertTrue(message.contains(part), message);
    }
  }

  @Test
  void aFolderWithoutAVocabularyHasNoTokenizer() {
    assertEquals(false, Tokenizer.isPresent(folder));
    String message = TinyCheckpoint.refusal(CHECKPOINT, () -> Tokenizer.load(folder));
    assertTrue(message.contains("tiktoken.model"), message);
  }
}
