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
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.api.TokenIds;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class StopTokensTest {
  @Test
  void endOfTextAndEndOfTurn() {
    assertEquals(
        TokenIds.of(3841, 3842),
        StopTokens.load(
                TinyCheckpoint.FOLDER, TinyCheckpoint.TOKENIZER, Optional.of(TinyCheckpoint.CHAT))
            .ids());
  }

  @Test
  void onlyStopTokensAreContained() {
    StopTokens stop = StopTokens.load(TinyCheckpoint.FOLDER, null, Optional.empty());
    assertTrue(stop.contains(3841) && stop.contains(3842));
    assertFalse(stop.contains(3840));
  }

  @Test
  void everySourceCounts(@TempDir Path folder) {
    assertEquals(TokenIds.of(), StopTokens.load(folder, null, Optional.empty()).ids());
    TinyCheckpoint.write(folder, "config.json", List.of("{\"eos_token_id\": 9}"));
    assertEquals(TokenIds.of(9), StopTokens.load(folder, null, Optional.empty()).ids());
    TinyCheckpoint.write(folder, "generation_config.json", List.of("{\"eos_token_id\": [7, 9]}"));
    assertEquals(TokenIds.of(7, 9), StopTokens.load(folder, null, Optional.empty()).ids());
    TinyCheckpoint.writeConfig(folder, Map.of(), Map.of("eos_token", "[EOT]"));
    assertEquals(
        TokenIds.of(7, 9, 3842, 3849),
        StopTokens.load(folder, TinyCheckpoint.TOKENIZER, Optional.of(TinyCheckpoint.CHAT)).ids());
  }

  @Test
  void anIdThatIsNoneIsRefused(@TempDir Path folder) {
    for (String id : List.of("-1", "\"x\"", "[1.5]", "99999999999", "{}")) {
      TinyCheckpoint.write(folder, "config.json", List.of("{\"eos_token_id\": " + id + "}"));
      String message =
          TinyCheckpoint.refusal(CHECKPOINT, () -> StopTokens.load(folder, null, Optional.empty()));
      assertTrue(message.contains("config.json"), message);
    }
  }
}
