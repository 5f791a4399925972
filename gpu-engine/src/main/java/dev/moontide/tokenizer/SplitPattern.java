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

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * How Kimi cuts text before byte pairs are merged: no token crosses a cut.
 *
 * <p>java.util.regex serves: every alternative repeats character classes only, which it matches in
 * a loop and not by recursion, and each position is looked at a bounded number of times. Looking
 * for scripts is two thirds of the time of encoding, so texts of ASCII, where there is but one,
 * have a pattern of their own. Letters, marks and scripts are those of the running JDK's Unicode
 * version (13 in JDK 17): newer scripts' letters count as symbols there.
 */
final class SplitPattern {
  private static final String CONTRACTION = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?";
  private static final String UPPER = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{IsHan}]]";
  private static final String LOWER = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{IsHan}]]";
  private static final String SPACE = "\\p{IsWhite_Space}";

  /** The eight alternatives, in order. The published pattern ignores case as Unicode does. */
  static final Pattern PATTERN =
      Pattern.compile(
          String.join(
              "|",
              "[\\p{IsHan}]+",
              "[^\\r\\n\\p{L}\\p{N}]?" + UPPER + "*" + LOWER + "+" + CONTRACTION,
              "[^\\r\\n\\p{L}\\p{N}]?" + UPPER + "+" + LOWER + "*" + CONTRACTION,
              "\\p{N}{1,3}",
              " ?[^" + SPACE + "\\p{L}\\p{N}]+[\\r\\n]*",
              SPACE + "*[\\r\\n]+",
              SPACE + "+(?!" + SPACE.replace("\\p", "\\P") + ")",
              SPACE + "+"),
          Pattern.UNICODE_CASE);

  private static final String ASCII_UPPER = ascii("[A-Z]");
  private static final String ASCII_LOWER = ascii("[a-z]");
  private static final String ASCII_NUMBER = ascii("[0-9]");
  private static final String ASCII_SPACE = ascii("[\\t\\n\\x0B\\f\\r ]");
  private static final String ASCII_NO_SPACE = ascii("[^\\t\\n\\x0B\\f\\r ]");
  private static final String ASCII_SYMBOL = ascii("[^\\t\\n\\x0B\\f\\r A-Za-z0-9]");

  /** What may stand before a word. */
  private static final String ASCII_BEFORE = ascii("[^\\r\\nA-Za-z0-9]");

  /** As {@link #CONTRACTION}, but found missing by a look at one character. */
  private static final String ASCII_CONTRACTION = "(?:'(?:[sStTmMdD]|[rR][eE]|[vV][eE]|[lL][lL]))?";

  /** Cuts a text of ASCII alone as {@link #PATTERN} does. */
  static final Pattern ASCII_PATTERN =
      Pattern.compile(
          String.join(
              "|",
              ASCII_BEFORE + "?" + ASCII_UPPER + "*" + ASCII_LOWER + "+" + ASCII_CONTRACTION,
              ASCII_BEFORE + "?" + ASCII_UPPER + "+" + ASCII_LOWER + "*" + ASCII_CONTRACTION,
              ASCII_NUMBER + "{1,3}",
              " ?" + ASCII_SYMBOL + "+[\\r\\n]*",
              ASCII_SPACE + "*[\\r\\n]+",
              ASCII_SPACE + "+(?!" + ASCII_NO_SPACE + ")",
              ASCII_SPACE + "+"));

  /** The published tokenizer encodes pieces of at most this many code points. */
  private static final int MAX_PIECE = 400_000;

  /** It also cuts runs of white space, and of anything else, at this many code points. */
  private static final int MAX_RUN = 25_000;

  private SplitPattern() {}

  /** A class of ASCII one by one: java.util.regex looks up such a class in a table of bits. */
  private static String ascii(String characters) {
    Pattern pattern = Pattern.compile(characters);
    return IntStream.range(0, 0x80)
        .filter(c -> pattern.matcher(Character.toString(c)).matches())
        .mapToObj("\\x%02X"::formatted)
        .collect(Collectors.joining("", "[", "]"));
  }

  /** Whether {@code text} is of ASCII alone. */
  static boolean isAscii(String text) {
    int all = 0;
    for (int i = 0; i < text.length(); i++) {
      all |= text.charAt(i);
    }
    return all < 0x80;
  }

  /** Cuts {@code text} into the pieces that are encoded one by one. */
  static List<String> pieces(String text) {
    if (text.length() <= MAX_RUN) {
      return List.of(text);
    }
    List<String> pieces = new ArrayList<>();
    int start = 0;
    int points = 0;
    int run = 0;
    boolean space = false;
    int next;
    for (int i = 0; i < text.length(); i = next) {
      int point = text.codePointAt(i);
      next = i + Character.charCount(point);
      if (points == MAX_PIECE || (run == MAX_RUN && isSpace(point) == space)) {
        pieces.add(text.substring(start, i));
        start = i;
        points = points == MAX_PIECE ? 0 : points;
        run = 0;
      }
      points++;
      if (isSpace(point) != space) {
        space = !space;
        run = 0;
      }
      run++;
    }
    pieces.add(text.substring(start));
    return pieces;
  }

  /** Python's {@code str.isspace}, which differs from the pattern's white space in U+001C–001F. */
  static boolean isSpace(int point) {
    if (Character.getType(point) == Character.SPACE_SEPARATOR) {
      return true;
    }
    return switch (Character.getDirectionality(point)) {
      case Character.DIRECTIONALITY_WHITESPACE,
          Character.DIRECTIONALITY_PARAGRAPH_SEPARATOR,
          Character.DIRECTIONALITY_SEGMENT_SEPARATOR ->
          true;
      default -> false;
    };
  }
}
