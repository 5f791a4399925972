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
import dev.moontide.api.TokenIds;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * A Jinja template over a row's columns, such as {@code Classify: {{ text }}}. Immutable and
 * thread-safe.
 *
 * <p>A variable that is not a column is an error, as is a null value, unless the template tests the
 * column for one ({@code if title}, {@code title is none}, {@code title | default("")}). Numbers
 * appear without exponents, booleans as {@code true} and {@code false}, structs, maps and lists as
 * JSON. White space around tags is treated as in chat templates ({@code trim_blocks} and {@code
 * lstrip_blocks}), and one line feed at the end is dropped, as Jinja does.
 */
public final class PromptTemplate {
  private static final String NAME = "the prompt template";

  private final List<TemplateSource.Part> parts;
  private final TemplateVariables variables;
  private final Jinja text;
  private final @Nullable PlainTemplate plain;
  private volatile @Nullable Encoder encoder;

  private PromptTemplate(
      List<TemplateSource.Part> parts,
      TemplateVariables variables,
      Jinja text,
      @Nullable PlainTemplate plain) {
    this.parts = parts;
    this.variables = variables;
    this.text = text;
    this.plain = plain;
  }

  /**
   * Compiles {@code source}; a syntax error names the place.
   *
   * @throws MoontideException of category configuration
   */
  public static PromptTemplate compile(String source) {
    List<TemplateSource.Part> parts = TemplateSource.parse(NAME, source);
    TemplateVariables variables = TemplateVariables.of(parts);
    Jinja text = Jinja.compile(NAME, parts);
    return new PromptTemplate(
        parts, variables, text, PlainTemplate.of(parts, variables, text).orElse(null));
  }

  /** The same template without the short way around the interpreter, to be compared with. */
  PromptTemplate interpreted() {
    return new PromptTemplate(parts, variables, text, null);
  }

  /** Columns the template refers to. */
  public Set<String> columns() {
    return new TreeSet<>(variables.all());
  }

  /** The prompt as text (the content of a chat message: all of it ordinary text). */
  public String render(Map<String, ? extends @Nullable Object> row) {
    String known = plain == null ? null : plain.render(row);
    return known == null ? render(text, row) : known;
  }

  /**
   * The prompt as tokens of a plain completion: special tokens written in the template's text
   * (outside of its braces) are control tokens, everything else, and the row's values above all, is
   * ordinary text.
   */
  public TokenIds encode(Map<String, ? extends @Nullable Object> row, Tokenizer tokenizer) {
    Encoder current = encoder;
    if (current == null || current.tokenizer != tokenizer) {
      current = encoder(tokenizer);
      encoder = current;
    }
    TokenIds known = current.plain == null ? null : current.plain.encode(row);
    return known == null ? current.marks.encode(render(current.marked, row)) : known;
  }

  private Encoder encoder(Tokenizer tokenizer) {
    ControlMarks marks = new ControlMarks(tokenizer);
    Jinja marked = Jinja.compile(NAME, marks.mark(parts));
    return new Encoder(tokenizer, marks, marked, plain == null ? null : plain.encoder(tokenizer));
  }

  /** The template for one tokenizer: with marks for its special tokens, and plain, if it is. */
  private record Encoder(
      Tokenizer tokenizer,
      ControlMarks marks,
      Jinja marked,
      PlainTemplate.@Nullable Encoder plain) {}

  /** Whether rows of texts need no interpreter. */
  boolean isPlain() {
    return plain != null;
  }

  private String render(Jinja template, Map<String, ? extends @Nullable Object> row) {
    return template.render(Map.of(), name -> value(name, row));
  }

  private @Nullable Object value(String name, Map<String, ? extends @Nullable Object> row) {
    Object value = row.get(name);
    if (value != null) {
      return RowValues.of(name, value);
    }
    if (!variables.all().contains(name)) {
      return null; // bound by the template itself, to nothing
    }
    if (!row.containsKey(name)) {
      throw MoontideException.configuration(
          "%s refers to '%s', which is not a column; the columns are %s",
          NAME, name, String.join(", ", new TreeSet<>(row.keySet())));
    }
    if (!variables.tested().contains(name)) {
      throw MoontideException.row(
          "column %s is null, and %s uses its value; write {{ %s | default(\"\") }} to allow that",
          name, NAME, name);
    }
    return null;
  }
}
