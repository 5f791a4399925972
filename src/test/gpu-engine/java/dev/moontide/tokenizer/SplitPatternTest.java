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

import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/** Holds the pattern for ASCII to the published one. */
class SplitPatternTest {
  private static final String CHARACTERS = "asEZ09!'-~ \t\n\r\u000B\f\u001C\u007F";

  private static List<Integer> ends(Pattern pattern, String text) {
    return pattern.matcher(text).results().map(MatchResult::end).toList();
  }

  private static void check(String text) {
    assertEquals(
        ends(SplitPattern.PATTERN, text),
        ends(SplitPattern.ASCII_PATTERN, text),
        () -> Arrays.toString(text.toCharArray()));
  }

  @Test
  void pairsOfAllCharactersAreCutAlike() {
    for (char first = 0; first < 0x80; first++) {
      for (char second = 0; second < 0x80; second++) {
        check("" + first + second);
      }
    }
  }

  @Test
  void shortTextsAreCutAlike() {
    check(new StringBuilder(), 4);
  }

  private static void check(StringBuilder text, int more) {
    check(text.toString());
    if (more == 0) {
      return;
    }
    int length = text.length();
    for (int i = 0; i < CHARACTERS.length(); i++) {
      check(text.append(CHARACTERS.charAt(i)), more - 1);
      text.setLength(length);
    }
  }

  @Test
  void longerTextsAreCutAlike() {
    Random random = new Random(11);
    String[] more = {"'re", "'LL", "'vE", "'S", "  ", "\r\n", "12345", "Word", "wORD"};
    for (int i = 0; i < 50_000; i++) {
      StringBuilder text = new StringBuilder();
      for (int length = random.nextInt(24); length > 0; length--) {
        text.append(
            random.nextInt(3) == 0
                ? more[random.nextInt(more.length)]
                : Character.toString(CHARACTERS.charAt(random.nextInt(CHARACTERS.length()))));
      }
      check(text.toString());
    }
  }

  @Test
  void asciiIsToldFromOtherText() {
    assertEquals(true, SplitPattern.isAscii("all\u0000\u007F"));
    assertEquals(false, SplitPattern.isAscii("café"));
    assertEquals(false, SplitPattern.isAscii("\u0080"));
  }
}
