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
import static org.junit.jupiter.api.Assertions.assertFalse;

import dev.moontide.api.TokenIds;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.Random;
import org.junit.jupiter.api.Test;

class StreamDecoderTest {
  private static final Tokenizer TOKENIZER = TinyCheckpoint.TOKENIZER;

  @Test
  void aStreamGivesWhatTheWholeGives() {
    Random random = new Random(3);
    StreamDecoder decoder = TOKENIZER.streamDecoder();
    for (int i = 0; i < 3_000; i++) {
      // Bytes of all kinds, most of them no valid UTF-8, and some whole words.
      int[] ids = new int[random.nextInt(30)];
      ByteArrayOutputStream bytes = new ByteArrayOutputStream();
      for (int j = 0; j < ids.length; j++) {
        ids[j] = random.nextInt(random.nextInt(4) == 0 ? 4096 : 256);
        bytes.writeBytes(TOKENIZER.bytes(ids[j]));
      }
      StringBuilder streamed = new StringBuilder();
      for (int id : ids) {
        decoder.append(id, streamed);
      }
      decoder.finish(streamed);
      assertEquals(bytes.toString(StandardCharsets.UTF_8), streamed.toString());
      assertEquals(streamed.toString(), TOKENIZER.decode(TokenIds.of(ids)));
    }
  }

  @Test
  void noPartOfACharacterIsEmitted() {
    Random random = new Random(4);
    for (int i = 0; i < 300; i++) {
      String text = TinyCheckpoint.randomText(random, 30);
      TokenIds ids = TOKENIZER.encode(text);
      StreamDecoder decoder = TOKENIZER.streamDecoder();
      StringBuilder out = new StringBuilder();
      for (int j = 0; j < ids.length(); j++) {
        decoder.append(ids.get(j), out);
        assertEquals(text.substring(0, out.length()), out.toString());
        assertFalse(
            out.length() > 0 && Character.isHighSurrogate(out.charAt(out.length() - 1)), text);
      }
      assertEquals(text, out.toString());
      decoder.finish(out);
      assertEquals(text, out.toString());
    }
  }

  @Test
  void anUnfinishedCharacterIsHeldBackUntilTheEnd() {
    StreamDecoder decoder = TOKENIZER.streamDecoder();
    StringBuilder out = new StringBuilder();
    decoder.append(0xF0, out);
    decoder.append(0x9F, out);
    assertEquals("", out.toString());
    decoder.finish(out);
    assertEquals("\uFFFD", out.toString());
  }
}
