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
import static org.junit.jupiter.api.Assertions.fail;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/** Holds {@link PieceScanner} to the published pattern. */
class PieceScannerTest {
  /** Characters of each class and combination of classes, and those the pattern names. */
  private static final List<String> CHARACTERS =
      List.of(
          "a", "s", "E", "ʰ", "ª", "ǅ", "ſ", "\u0301", "中", "\u3007", "\u302A", "1", "²", "!", "'",
          " ", "\u00A0", "\u0085", "\t", "\n", "\r", "😀", "𐐀", "𠀀", "\uFFFD");

  @Test
  void classesAreThePatterns() {
    Map<Integer, Pattern> classes = new LinkedHashMap<>();
    String marks = "\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{IsHan}]]";
    classes.put(PieceScanner.HAN, Pattern.compile("\\p{IsHan}"));
    classes.put(PieceScanner.UPPER, Pattern.compile("[\\p{Lu}\\p{Lt}" + marks));
    classes.put(PieceScanner.LOWER, Pattern.compile("[\\p{Ll}" + marks));
    classes.put(PieceScanner.LETTER, Pattern.compile("\\p{L}"));
    classes.put(PieceScanner.NUMBER, Pattern.compile("\\p{N}"));
    classes.put(PieceScanner.SPACE, Pattern.compile("\\p{IsWhite_Space}"));
    classes.put(PieceScanner.LINE_END, Pattern.compile("[\\r\\n]"));
    for (int point = 0; point <= Character.MAX_CODE_POINT; point++) {
      if (point >= Character.MIN_SURROGATE && point <= Character.MAX_SURROGATE) {
        continue;
      }
      String character = Character.toString(point);
      int expected = 0;
      for (Map.Entry<Integer, Pattern> one : classes.entrySet()) {
        expected |= one.getValue().matcher(character).matches() ? one.getKey() : 0;
      }
      if (expected != PieceScanner.classesOf(point)) {
        fail("U+%x is of %x".formatted(point, expected));
      }
    }
  }

  @Test
  void everyShortTextIsCutAsByThePattern() {
    check(new StringBuilder(), 4);
  }

  private static void check(StringBuilder text, int more) {
    checkText(text.toString());
    if (more == 0) {
      return;
    }
    int length = text.length();
    for (String character : CHARACTERS) {
      check(text.append(character), more - 1);
      text.setLength(length);
    }
  }

  @Test
  void longerTextsAreCutAsByThePattern() {
    Random random = new Random(11);
    String[] more = {"'re", "'LL", "'vE", "'ſ", "  ", "\r\n", "12345", "Word", "wORD", "中中"};
    for (int i = 0; i < 100_000; i++) {
      StringBuilder text = new StringBuilder();
      for (int length = random.nextInt(24); length > 0; length--) {
        text.append(
            random.nextInt(3) == 0
                ? more[random.nextInt(more.length)]
                : CHARACTERS.get(random.nextInt(CHARACTERS.size())));
      }
      checkText(text.toString());
      checkText(TinyCheckpoint.randomText(random, 40));
    }
  }

  private static void checkText(String text) {
    Matcher pieces = SplitPattern.PATTERN.matcher(text);
    int from = 0;
    while (pieces.find()) {
      assertEquals(from, pieces.start(), text);
      int end = PieceScanner.end(text, from);
      if (end != pieces.end()) {
        fail(
            "'%s' is cut at %d after %d, and should be at %d"
                .formatted(text, end, from, pieces.end()));
      }
      from = end;
    }
    assertEquals(text.length(), from, text);
  }
}
