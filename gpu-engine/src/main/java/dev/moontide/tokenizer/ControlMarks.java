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

import com.knuddels.jtokkit.api.IntArrayList;
import dev.moontide.api.TokenIds;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Marks that take the place of the special tokens written in a template while it is rendered, so
 * that whatever a row's text says, and whatever filters make of it, only the template's own are
 * control tokens.
 *
 * <p>A mark begins with four private-use characters drawn at random, 64 bits that no row can know.
 * They are gone when the prompt is encoded, so that a prompt does not depend on them.
 */
final class ControlMarks {
  private static final int PLANE_16 = 0x100000;
  private static final int SECRET_POINTS = 4;
  private static final SecureRandom RANDOM = new SecureRandom();

  private final Tokenizer tokenizer;
  private final String secret;
  private final Map<Integer, Integer> indexOfId = new HashMap<>();
  private final List<Integer> ids = new ArrayList<>();

  ControlMarks(Tokenizer tokenizer) {
    this.tokenizer = tokenizer;
    StringBuilder points = new StringBuilder();
    for (int i = 0; i < SECRET_POINTS; i++) {
      points.appendCodePoint(PLANE_16 + RANDOM.nextInt(1 << 16));
    }
    secret = points.toString();
  }

  /** The parts with marks for the special tokens in their text. */
  List<TemplateSource.Part> mark(List<TemplateSource.Part> parts) {
    List<TemplateSource.Part> marked = new ArrayList<>(parts.size());
    for (TemplateSource.Part part : parts) {
      marked.add(
          part.kind() == TemplateSource.Kind.TEXT
              ? new TemplateSource.Part(part.kind(), mark(part.content()), part.line())
              : part);
    }
    return marked;
  }

  private String mark(String text) {
    StringBuilder marked = new StringBuilder();
    for (SpecialTokens.Stretch stretch : tokenizer.specialTokenMatcher().split(text)) {
      Optional<SpecialTokens.Token> token = stretch.token();
      if (token.isEmpty()) {
        marked.append(text, stretch.from(), stretch.to());
        continue;
      }
      int index =
          indexOfId.computeIfAbsent(
              token.get().id(),
              id -> {
                ids.add(id);
                return ids.size() - 1;
              });
      marked.append(secret).appendCodePoint(PLANE_16 + index);
    }
    return marked.toString();
  }

  /** The tokens of a rendered template. */
  TokenIds encode(String rendered) {
    IntArrayList tokens = new IntArrayList(rendered.length() / 3 + 8);
    int from = 0;
    int mark = rendered.indexOf(secret);
    while (mark >= 0) {
      tokenizer.encode(rendered.substring(from, mark), tokens);
      int index = mark + secret.length();
      tokens.add(ids.get(rendered.codePointAt(index) - PLANE_16));
      from = index + 2;
      mark = rendered.indexOf(secret, from);
    }
    tokenizer.encode(rendered.substring(from), tokens);
    return TokenIds.of(tokens.toArray());
  }
}
