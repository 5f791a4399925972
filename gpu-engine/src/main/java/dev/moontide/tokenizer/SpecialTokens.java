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
import java.util.BitSet;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Finds special tokens in text. Where two begin at one place, the longer is meant. */
final class SpecialTokens {
  /** A special token. */
  record Token(String text, int id) {}

  /** A stretch {@code [from, to)} of a text: a special token, or ordinary text without any. */
  record Stretch(int from, int to, Optional<Token> token) {}

  private final List<Token> tokens; // the longest first
  private final BitSet firstCharacters = new BitSet();

  SpecialTokens(Map<String, Integer> ids) {
    List<Token> all = new ArrayList<>();
    ids.forEach((text, id) -> all.add(new Token(text, id)));
    all.sort(Comparator.comparingInt((Token token) -> token.text().length()).reversed());
    tokens = List.copyOf(all);
    tokens.forEach(token -> firstCharacters.set(token.text().charAt(0)));
  }

  /** All of them, the longest first. */
  List<Token> tokens() {
    return tokens;
  }

  /** Cuts {@code text} into special tokens and the stretches between them, in order. */
  List<Stretch> split(String text) {
    List<Stretch> stretches = new ArrayList<>();
    int from = 0;
    int i = 0;
    while (i < text.length()) {
      Token token = firstCharacters.get(text.charAt(i)) ? at(text, i) : null;
      if (token == null) {
        i++;
        continue;
      }
      if (from < i) {
        stretches.add(new Stretch(from, i, Optional.empty()));
      }
      from = i + token.text().length();
      stretches.add(new Stretch(i, from, Optional.of(token)));
      i = from;
    }
    if (from < i) {
      stretches.add(new Stretch(from, i, Optional.empty()));
    }
    return stretches;
  }

  private @Nullable Token at(String text, int position) {
    for (Token token : tokens) {
      if (text.startsWith(token.text(), position)) {
        return token;
      }
    }
    return null;
  }
}
