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
import dev.moontide.api.MoontideException;
import dev.moontide.api.TokenIds;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import org.jspecify.annotations.Nullable;

/**
 * A template of nothing but text and columns, as most are: it says where the columns' texts go, and
 * a row needs no interpreter. Immutable and thread-safe.
 *
 * <p>It renders texts and whole numbers, as Jinja would. Of a row with anything else (null, above
 * all) it makes nothing, and leaves it to Jinja.
 */
final class PlainTemplate {
  /** Longer prompts, in characters, are Jinja's, which has a bound. */
  private static final int MAX_TEXT = 1 << 20;

  /** What an interpreter might make something of, and a text is left alone. */
  private static final String PROBE =
      " {{ x }}{% if %}{# <&>\"'\\ \n\t 1e3 \u00e9\u0130 ".concat(Character.toString(0x100000));

  /**
   * A piece of text; {@code isColumn} says that it is the name of a column, whose text goes here.
   */
  private record Part(String text, boolean isColumn) {}

  private final List<Part> parts;

  private PlainTemplate(List<Part> parts) {
    this.parts = List.copyOf(parts);
  }

  /**
   * What {@code template} is made of, if that is all.
   *
   * @param jinja {@code template}, compiled: what it makes of a row is what counts
   */
  static Optional<PlainTemplate> of(
      List<TemplateSource.Part> template, TemplateVariables variables, Jinja jinja) {
    List<Part> parts = new ArrayList<>(template.size());
    for (TemplateSource.Part part : template) {
      switch (part.kind()) {
        case TEXT -> parts.add(new Part(part.content(), false));
        case EXPRESSION -> {
          if (!variables.all().contains(part.content())) {
            return Optional.empty();
          }
          parts.add(new Part(part.content(), true));
        }
        case TAG -> {
          return Optional.empty();
        }
      }
    }
    PlainTemplate plain = new PlainTemplate(parts);
    return plain.agreesWith(jinja, variables) ? Optional.of(plain) : Optional.empty();
  }

  /** A name may be a word of the interpreter's. */
  private boolean agreesWith(Jinja jinja, TemplateVariables variables) {
    Map<String, String> row = new HashMap<>();
    variables.all().forEach(name -> row.put(name, name + PROBE + row.size()));
    try {
      return jinja.render(Map.of(), row::get).equals(render(row));
    } catch (MoontideException refused) {
      return false;
    }
  }

  /** The prompt as text; null if it is Jinja's to make. */
  @Nullable String render(Map<String, ? extends @Nullable Object> row) {
    return text(parts, row);
  }

  private static @Nullable String text(
      List<Part> parts, Map<String, ? extends @Nullable Object> row) {
    if (parts.size() == 1) {
      return text(parts.get(0), row);
    }
    StringBuilder text = new StringBuilder();
    for (Part part : parts) {
      String next = text(part, row);
      if (next == null || text.length() + next.length() > MAX_TEXT) {
        return null;
      }
      text.append(next);
    }
    return text.toString();
  }

  private static @Nullable String text(Part part, Map<String, ? extends @Nullable Object> row) {
    if (!part.isColumn) {
      return part.text;
    }
    Object value = row.get(part.text);
    if (value instanceof String text) {
      return text.length() > MAX_TEXT ? null : text;
    }
    return value instanceof Integer || value instanceof Long ? value.toString() : null;
  }

  /** Makes token ids of rows, for one tokenizer. Immutable and thread-safe. */
  Encoder encoder(Tokenizer tokenizer) {
    List<Stretch> stretches = new ArrayList<>();
    List<Part> between = new ArrayList<>();
    for (Part part : parts) {
      if (part.isColumn) {
        between.add(part);
        continue;
      }
      for (SpecialTokens.Stretch stretch : tokenizer.specialTokenMatcher().split(part.text)) {
        if (stretch.token().isEmpty()) {
          between.add(new Part(part.text.substring(stretch.from(), stretch.to()), false));
        } else {
          stretches.add(
              new Stretch(List.copyOf(between), OptionalInt.of(stretch.token().get().id())));
          between.clear();
        }
      }
    }
    stretches.add(new Stretch(List.copyOf(between), OptionalInt.empty()));
    return new Encoder(tokenizer, stretches);
  }

  /** Ordinary text, encoded as one, and the control token after it, but for the last. */
  private record Stretch(List<Part> parts, OptionalInt control) {}

  /** See {@link #encoder}. */
  record Encoder(Tokenizer tokenizer, List<Stretch> stretches) {
    /** The prompt as tokens; null if it is Jinja's to make. */
    @Nullable TokenIds encode(Map<String, ? extends @Nullable Object> row) {
      IntArrayList tokens = new IntArrayList(32);
      for (Stretch stretch : stretches) {
        String text = text(stretch.parts, row);
        if (text == null) {
          return null;
        }
        tokenizer.encode(text, tokens);
        if (stretch.control.isPresent()) {
          tokens.add(stretch.control.getAsInt());
        }
      }
      return TokenIds.of(tokens.toArray());
    }
  }
}
