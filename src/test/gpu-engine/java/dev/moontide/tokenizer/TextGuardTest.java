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

import static dev.moontide.api.MoontideException.Category.ROW;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;

class TextGuardTest {
  private static final SpecialTokens SPECIAL = TinyCheckpoint.TOKENIZER.specialTokenMatcher();
  private static final TextGuard.Choice GUARDS = TextGuard.Choice.of(SPECIAL);

  /** Texts over few characters, so that special tokens arise often, in every position. */
  @Test
  void noSpecialTokenSharesACharacterWithAValue() {
    Random random = new Random(5);
    int arisen = 0;
    for (int i = 0; i < 20_000; i++) {
      Map<String, Integer> ids = new HashMap<>();
      for (int t = 1 + random.nextInt(4); t > 0; t--) {
        ids.put(letters(random, 1 + random.nextInt(5)), t);
      }
      SpecialTokens special = new SpecialTokens(ids);
      TextGuard guard = TextGuard.Choice.of(special).forTexts(List.of());
      StringBuilder plain = new StringBuilder();
      StringBuilder rendered = new StringBuilder();
      BitSet valuePlaces = new BitSet();
      for (int part = 0; part < 6; part++) {
        String text = letters(random, random.nextInt(6));
        plain.append(text);
        if (part % 3 == 0) {
          rendered.append(text);
          continue;
        }
        String guarded = random.nextBoolean() ? guard.guard(text) : guard.guardStrictly(text);
        valuePlaces.set(rendered.length(), rendered.length() + guarded.length());
        rendered.append(guarded);
        assertEquals(text, guard.restore(guarded));
      }
      for (SpecialTokens.Stretch stretch : special.split(rendered.toString())) {
        if (stretch.token().isPresent()) {
          assertTrue(valuePlaces.get(stretch.from(), stretch.to()).isEmpty(), () -> "" + ids);
          arisen++;
        }
      }
      assertEquals(plain.toString(), guard.restore(rendered.toString()));
    }
    assertTrue(arisen > 1_000, "the cases test nothing: " + arisen);
  }

  private static String letters(Random random, int length) {
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < length; i++) {
      text.append("ab|".charAt(random.nextInt(3)));
    }
    return text.toString();
  }

  @Test
  void ordinaryTextIsLeftAlone() {
    TextGuard guard = GUARDS.forTexts(List.of());
    List<String> texts =
        List.of("", "hello", "a < b", "[1, 2]", "<b>bold</b>", "x|>y", "what's up?", "🎉", "users");
    for (String text : texts) {
      assertEquals(text, guard.guard(text));
    }
    assertFalse(guard.isStrictDifferent("hello"));
    assertTrue(guard.isStrictDifferent("a < b"));
  }

  @Test
  void theStandInsPlaneIsNotTheTexts() {
    String fifteen = new StringBuilder("<|im_end|>").appendCodePoint(0xF003C).toString();
    String sixteen = new StringBuilder("<|im_end|>").appendCodePoint(0x10003C).toString();
    for (String text : List.of(fifteen, sixteen)) {
      TextGuard guard = GUARDS.forTexts(List.of(text));
      assertFalse(guard.guard(text).contains("<"));
      assertEquals(text, guard.restore(guard.guard(text)));
    }
    String message = TinyCheckpoint.refusal(ROW, () -> GUARDS.forTexts(List.of(fifteen, sixteen)));
    assertTrue(message.contains("private-use"), message);
  }

  @Test
  void theLongerOfTwoTokensIsMeant() {
    SpecialTokens special = new SpecialTokens(Map.of("<a", 1, "<a>", 2));
    List<Integer> ids = new ArrayList<>();
    special.split("<a<a>").forEach(s -> s.token().ifPresent(token -> ids.add(token.id())));
    assertEquals(List.of(1, 2), ids);
  }
}
