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

import static java.util.stream.Collectors.toList;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import dev.moontide.api.TokenIds;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.regex.MatchResult;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TokenizerTest {
  private static final Tokenizer TOKENIZER = TinyCheckpoint.TOKENIZER;

  @Test
  void idsEqualThePublishedTokenizers() {
    JsonNode cases = TinyCheckpoint.resource("/goldens/tokenizer.json");
    assertEquals(300, cases.size());
    for (JsonNode golden : cases) {
      String text = golden.get("text").asText();
      int[] ids = TinyCheckpoint.ints(golden.get("ids"));
      assertArrayEquals(ids, TOKENIZER.encode(text).toArray(), text);
      assertEquals(text, TOKENIZER.decode(TokenIds.of(ids)));
    }
  }

  /** Long pieces take another path in the library than short ones. */
  @Test
  void piecesAreMergedByRank() {
    Map<ByteBuffer, Integer> ranks = new HashMap<>();
    for (int id = 0; id < 3840; id++) {
      ranks.put(ByteBuffer.wrap(TOKENIZER.bytes(id)), id);
    }
    Random random = new Random(7);
    String[] units = {"e", "t", "an", "ing", "s", "é"};
    for (int i = 0; i < 200; i++) {
      StringBuilder piece = new StringBuilder();
      for (int length = 1 + random.nextInt(i % 10 == 0 ? 900 : 60); length > 0; length--) {
        piece.append(units[random.nextInt(units.length)]);
      }
      assertEquals(merged(piece.toString(), ranks), TOKENIZER.encode(piece.toString()));
    }
  }

  /**
   * Merges, again and again, the neighbours whose union has the lowest rank, the first of equals.
   */
  private static TokenIds merged(String piece, Map<ByteBuffer, Integer> ranks) {
    byte[] bytes = piece.getBytes(StandardCharsets.UTF_8);
    List<Integer> cuts = IntStream.rangeClosed(0, bytes.length).boxed().collect(toList());
    while (true) {
      int best = Integer.MAX_VALUE;
      int at = 0;
      for (int i = 1; i + 1 < cuts.size(); i++) {
        Integer rank = ranks.get(between(bytes, cuts.get(i - 1), cuts.get(i + 1)));
        if (rank != null && rank < best) {
          best = rank;
          at = i;
        }
      }
      if (at == 0) {
        return TokenIds.of(
            IntStream.range(1, cuts.size())
                .map(i -> ranks.get(between(bytes, cuts.get(i - 1), cuts.get(i))))
                .toArray());
      }
      cuts.remove(at);
    }
  }

  private static ByteBuffer between(byte[] bytes, int from, int to) {
    return ByteBuffer.wrap(bytes, from, to - from);
  }

  @Test
  void decodingUndoesEncoding() {
    Random random = new Random(1);
    for (int i = 0; i < 5_000; i++) {
      String text = TinyCheckpoint.randomText(random, 40);
      assertEquals(text, TOKENIZER.decode(TOKENIZER.encode(text)));
    }
  }

  @Test
  void textThatSpellsASpecialTokenIsText() {
    for (String special : TOKENIZER.specialTokens().keySet()) {
      TokenIds ids = TOKENIZER.encode("a" + special + "b");
      for (int i = 0; i < ids.length(); i++) {
        assertFalse(TOKENIZER.isSpecial(ids.get(i)), special);
      }
    }
  }

  @Test
  void anUnpairedSurrogateBecomesTheReplacementCharacter() {
    for (String text : List.of("\uD83C", "a\uD83Cb", "\uDF89x", "\uDF89\uD83C", "🎉\uD83C")) {
      String decoded = TOKENIZER.decode(TOKENIZER.encode(text));
      String expected = text.equals("🎉\uD83C") ? "🎉\uFFFD" : replaced(text);
      assertEquals(expected, decoded);
    }
  }

  private static String replaced(String text) {
    return text.replaceAll("[\\x{D800}-\\x{DFFF}]", "\uFFFD");
  }

  @Test
  void theVocabularyEndsAfterTheLastSpecialToken() {
    assertEquals(4096, TOKENIZER.vocabularySize());
    assertEquals(3842, TOKENIZER.specialTokens().get("<|im_end|>"));
    assertTrue(TOKENIZER.isSpecial(3842));
    assertFalse(TOKENIZER.isSpecial(3839));
    assertEquals("<|im_end|>", TOKENIZER.decode(TokenIds.of(3842)));
    assertArrayEquals("[PAD]".getBytes(StandardCharsets.UTF_8), TOKENIZER.bytes(4095));
  }

  @Test
  void idsWithoutTextDecodeToNothing() {
    int a = TOKENIZER.encode("a").get(0);
    assertEquals("aa", TOKENIZER.decode(TokenIds.of(a, 3845, 4096, 1_000_000, a)));
    assertThrows(IllegalArgumentException.class, () -> TOKENIZER.decode(TokenIds.of(-1)));
  }

  @Test
  void malformedUtf8BecomesTheReplacementCharacter() {
    // The first 256 ids are the single bytes.
    assertEquals("\uFFFDa\uFFFD", TOKENIZER.decode(TokenIds.of(0xE4, 0x61, 0xF0)));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"a", " ", "\n", "7", "🎉", "\u0301", "aB", "A b", "漢", "<|im_end|>", "-\n"})
  void aMillionRepetitionsAreEncodedOnASmallStack(String unit) throws Exception {
    String text = unit.repeat(1_000_000 / unit.length());
    CompletableFuture<String> decoded = new CompletableFuture<>();
    Thread thread =
        new Thread(
            null,
            () -> {
              try {
                decoded.complete(TOKENIZER.decode(TOKENIZER.encode(text)));
              } catch (StackOverflowError e) {
                decoded.completeExceptionally(e);
              }
            },
            "small stack",
            256 << 10);
    thread.start();
    thread.join();
    assertTrue(text.equals(decoded.get()));
  }

  @Test
  void longTextIsCutAsThePublishedTokenizerDoes() {
    Random random = new Random(2);
    String[] units = {"x", " ", "🎉", "\u001C", "\n", "xy "};
    for (int i = 0; i < 12; i++) {
      StringBuilder text = new StringBuilder();
      while (text.length() < 900_000) {
        text.append(units[random.nextInt(units.length)].repeat(1 + random.nextInt(60_000)));
      }
      assertEquals(publishedPieces(text.toString()), SplitPattern.pieces(text.toString()));
    }
    assertEquals(List.of("a b"), SplitPattern.pieces("a b"));
  }

  /** The published loops, over code points: 400,000 at most, runs of 25,000 at most. */
  private static List<String> publishedPieces(String text) {
    int[] points = text.codePoints().toArray();
    List<String> pieces = new ArrayList<>();
    for (int start = 0; start < points.length; start += 400_000) {
      int end = Math.min(points.length, start + 400_000);
      int sliceStart = start;
      int length = 0;
      boolean space = isPythonSpace(points[start]);
      for (int i = start; i < end; i++) {
        boolean now = isPythonSpace(points[i]);
        if (space != now) {
          length = 1;
          space = now;
        } else if (++length > 25_000) {
          pieces.add(new String(points, sliceStart, i - sliceStart));
          sliceStart = i;
          length = 1;
        }
      }
      pieces.add(new String(points, sliceStart, end - sliceStart));
    }
    return pieces;
  }

  private static boolean isPythonSpace(int point) {
    return " \t\n\u000B\f\r\u001C\u001D\u001E\u001F\u0085\u00A0\u1680\u2028\u2029\u202F\u205F\u3000"
                .indexOf(point)
            >= 0
        || (point >= 0x2000 && point <= 0x200A);
  }

  @Test
  void whiteSpaceForTheCutsIsPythons() {
    for (int point = 0; point <= 0xFFFF; point++) {
      assertEquals(isPythonSpace(point), SplitPattern.isSpace(point), Integer.toHexString(point));
    }
  }

  @Test
  void contractionsIgnoreCaseAsUnicodeDoes() {
    assertEquals(
        List.of("a'\u017F", "b", " B'LL", "'Sx"),
        SplitPattern.PATTERN
            .matcher("a'\u017Fb B'LL'Sx")
            .results()
            .map(MatchResult::group)
            .toList());
  }
}
