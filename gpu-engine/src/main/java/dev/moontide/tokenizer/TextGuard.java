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

import dev.moontide.api.MoontideException;
import java.util.BitSet;
import java.util.Collection;

/**
 * Keeps a row's text from forming or completing a special token in a template's output.
 *
 * <p>Templates build their markers as they like (<code>&lt;|im_{{ marker }}|&gt;</code>), so a
 * marker can be recognised only in the rendered text, where it looks like a row's text that spells
 * it. Therefore some characters of the row's texts are replaced before rendering by stand-ins from
 * a private-use plane, which no special token has, and put back after the special tokens were
 * recognised. Wherever a copy of the whole text ends up, an occurrence of a special token that
 * shares a character with it lies in it, begins in it, ends in it or contains it; the character
 * replaced is, in turn,
 *
 * <ul>
 *   <li>the first of every special token in the text;
 *   <li>the first of every end of the text that begins a special token;
 *   <li>the last of every beginning of the text that ends a special token;
 *   <li>the first of the text, if it lies within a special token.
 * </ul>
 *
 * All ignoring case, for templates that change it. Any other character reaches the template as it
 * is, so that filters and conditions see the text.
 */
final class TextGuard {
  private static final int PLANE_15 = 0xF0000;
  private static final int PLANE_16 = 0x100000;

  private final SpecialTokens specialTokens;
  private final int plane;
  private final BitSet firstCharacters = new BitSet();
  private final BitSet lastCharacters = new BitSet();
  private int longest;

  private TextGuard(SpecialTokens specialTokens, int plane) {
    this.specialTokens = specialTokens;
    this.plane = plane;
    for (SpecialTokens.Token token : specialTokens.tokens()) {
      String text = token.text();
      setAnyCase(firstCharacters, text.charAt(0));
      setAnyCase(lastCharacters, text.charAt(text.length() - 1));
      longest = Math.max(longest, text.length());
    }
  }

  private static void setAnyCase(BitSet set, char c) {
    set.set(c);
    set.set(Character.toLowerCase(c));
    set.set(Character.toUpperCase(c));
  }

  /** The guards to choose from: all that differs is the plane of the stand-ins. */
  record Choice(TextGuard plane15, TextGuard plane16) {
    static Choice of(SpecialTokens specialTokens) {
      return new Choice(
          new TextGuard(specialTokens, PLANE_15), new TextGuard(specialTokens, PLANE_16));
    }

    /** One whose stand-ins are in none of {@code texts}. */
    TextGuard forTexts(Collection<String> texts) {
      if (texts.stream().noneMatch(text -> uses(text, PLANE_15))) {
        return plane15;
      }
      if (texts.stream().noneMatch(text -> uses(text, PLANE_16))) {
        return plane16;
      }
      throw MoontideException.row(
          "the row's text has private-use characters of both planes 15 and 16 (U+F0000–10FFFF),"
              + " and one of them must be free; remove or replace them");
    }
  }

  private static boolean uses(String text, int plane) {
    char first = Character.highSurrogate(plane);
    char last = Character.highSurrogate(plane + 0xFFFF);
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      if (c >= first && c <= last) {
        return true;
      }
    }
    return false;
  }

  /** Guards {@code text}. */
  String guard(String text) {
    return replace(text, places(text));
  }

  /**
   * Guards {@code text}, and also every character a special token may begin with: safe even where a
   * filter removes characters of the text.
   */
  String guardStrictly(String text) {
    BitSet places = places(text);
    places.or(firstCharactersOf(text));
    return replace(text, places);
  }

  /** Whether {@link #guardStrictly} replaces more of {@code text} than {@link #guard}. */
  boolean isStrictDifferent(String text) {
    BitSet more = firstCharactersOf(text);
    if (more.isEmpty()) {
      return false;
    }
    more.andNot(places(text));
    return !more.isEmpty();
  }

  private BitSet firstCharactersOf(String text) {
    BitSet found = new BitSet();
    for (int i = 0; i < text.length(); i++) {
      if (firstCharacters.get(text.charAt(i))) {
        found.set(i);
      }
    }
    return found;
  }

  private BitSet places(String text) {
    BitSet places = new BitSet();
    int length = text.length();
    for (int i = 0; i < length; i++) {
      if (firstCharacters.get(text.charAt(i)) && beginsSpecialToken(text, i)) {
        places.set(i);
      }
    }
    for (int end = 1; end <= Math.min(length, longest - 1); end++) {
      if (lastCharacters.get(text.charAt(end - 1)) && endsSpecialToken(text, end)) {
        places.set(end - 1);
      }
    }
    if (length > 0 && length <= longest - 2 && isWithinSpecialToken(text)) {
      places.set(0);
    }
    return places;
  }

  /** Whether a special token is at {@code start}, or begins there and the text ends first. */
  private boolean beginsSpecialToken(String text, int start) {
    for (SpecialTokens.Token token : specialTokens.tokens()) {
      int length = Math.min(token.text().length(), text.length() - start);
      if (text.regionMatches(true, start, token.text(), 0, length)) {
        return true;
      }
    }
    return false;
  }

  /** Whether the text's first {@code length} characters end a longer special token. */
  private boolean endsSpecialToken(String text, int length) {
    for (SpecialTokens.Token token : specialTokens.tokens()) {
      int from = token.text().length() - length;
      if (from > 0 && token.text().regionMatches(true, from, text, 0, length)) {
        return true;
      }
    }
    return false;
  }

  private boolean isWithinSpecialToken(String text) {
    for (SpecialTokens.Token token : specialTokens.tokens()) {
      int last = token.text().length() - text.length();
      for (int from = 0; from <= last; from++) {
        if (token.text().regionMatches(true, from, text, 0, text.length())) {
          return true;
        }
      }
    }
    return false;
  }

  private String replace(String text, BitSet places) {
    if (places.isEmpty()) {
      return text;
    }
    StringBuilder guarded = new StringBuilder(text.length() + places.cardinality());
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      if (places.get(i)) {
        guarded.appendCodePoint(plane + c);
      } else {
        guarded.append(c);
      }
    }
    return guarded.toString();
  }

  /** {@code guarded} with the characters that stand-ins stand for. */
  String restore(String guarded) {
    if (!uses(guarded, plane)) {
      return guarded;
    }
    StringBuilder text = new StringBuilder(guarded.length());
    int next;
    for (int i = 0; i < guarded.length(); i = next) {
      int point = guarded.codePointAt(i);
      next = i + Character.charCount(point);
      if (point >= plane && point <= plane + 0xFFFF) {
        text.append((char) (point - plane));
      } else {
        text.appendCodePoint(point);
      }
    }
    return text.toString();
  }
}
