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
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A Jinja template cut into text, expressions and tags, white space treated as Jinja does with
 * {@code trim_blocks} and {@code lstrip_blocks}, as transformers renders chat templates. jinjava
 * has these settings too, but its {@code lstrip_blocks} also eats the space between a word and a
 * tag on the same line.
 */
final class TemplateSource {
  private static final int MAX_LENGTH = 1 << 18;
  private static final int MAX_EXPRESSION_LENGTH = 1 << 14;
  private static final Pattern RAW_END = Pattern.compile("\\{%([-+]?)\\s*endraw\\s*([-+]?)%\\}");

  /** What a part is. */
  enum Kind {
    TEXT,
    EXPRESSION,
    TAG
  }

  /**
   * A part.
   *
   * @param content the text, or what stands between the braces
   * @param line where it ends, counted from 1
   */
  record Part(Kind kind, String content, int line) {}

  private final String name;
  private final String source;
  private final List<Part> parts = new ArrayList<>();
  private int position;

  private TemplateSource(String name, String source) {
    this.name = name;
    String lines = source.replace("\r\n", "\n").replace('\r', '\n');
    this.source = lines.endsWith("\n") ? lines.substring(0, lines.length() - 1) : lines;
  }

  /**
   * Cuts {@code source}.
   *
   * @param name what errors call the template
   */
  static List<Part> parse(String name, String source) {
    if (source.length() > MAX_LENGTH) {
      throw MoontideException.configuration(
          "%s has %d characters, more than the %d a template may have",
          name, source.length(), MAX_LENGTH);
    }
    TemplateSource template = new TemplateSource(name, source);
    template.parse();
    return List.copyOf(template.parts);
  }

  private void parse() {
    boolean lineStart = true;
    while (position < source.length()) {
      int open = nextOpen(position);
      String text = source.substring(position, open);
      if (open == source.length()) {
        add(Kind.TEXT, text, open);
        return;
      }
      char kind = source.charAt(open + 1);
      char sign = open + 2 < source.length() ? source.charAt(open + 2) : ' ';
      add(Kind.TEXT, stripBefore(text, kind, sign, lineStart), open);
      int start = open + (sign == '-' || (sign == '+' && kind != '{') ? 3 : 2);
      int end = close(kind, start, open);
      boolean signed = end > start && isSign(source.charAt(end - 1), kind);
      char endSign = signed ? source.charAt(end - 1) : ' ';
      String content = source.substring(start, signed ? end - 1 : end);
      position = end + 2;
      if (kind != '#' && content.length() > MAX_EXPRESSION_LENGTH) {
        throw error(open, "an expression of more than " + MAX_EXPRESSION_LENGTH + " characters");
      }
      if (kind == '%' && content.strip().equals("raw")) {
        lineStart = raw(endSign);
        continue;
      }
      if (kind != '#') {
        add(kind == '{' ? Kind.EXPRESSION : Kind.TAG, content.strip(), end);
      }
      lineStart = skipAfter(kind, endSign);
    }
  }

  private static boolean isSign(char c, char kind) {
    return c == '-' || (c == '+' && kind != '{');
  }

  private int nextOpen(int from) {
    for (int i = source.indexOf('{', from); i >= 0; i = source.indexOf('{', i + 1)) {
      if (i + 1 < source.length() && "{%#".indexOf(source.charAt(i + 1)) >= 0) {
        return i;
      }
    }
    return source.length();
  }

  private static String stripBefore(String text, char kind, char sign, boolean lineStart) {
    if (sign == '-') {
      return text.stripTrailing();
    }
    if (kind == '{' || sign == '+') {
      return text;
    }
    int line = text.lastIndexOf('\n') + 1;
    boolean startsLine = line > 0 || lineStart;
    return startsLine && text.substring(line).isBlank() ? text.substring(0, line) : text;
  }

  /** Skips what follows a tag on account of its sign; whether the rest then starts a line. */
  private boolean skipAfter(char kind, char sign) {
    int from = position;
    if (sign == '-') {
      while (position < source.length() && Character.isWhitespace(source.charAt(position))) {
        position++;
      }
    } else if (kind != '{' && sign != '+' && source.startsWith("\n", position)) {
      position++;
    }
    return position > from && source.charAt(position - 1) == '\n';
  }

  /** The text up to {@code endraw}, as it is. */
  private boolean raw(char sign) {
    if (sign == '-') {
      skipAfter('{', sign);
    }
    Matcher end = RAW_END.matcher(source);
    if (!end.find(position)) {
      throw error(position, "raw has no endraw");
    }
    String text = source.substring(position, end.start());
    char before = end.group(1).isEmpty() ? ' ' : end.group(1).charAt(0);
    add(Kind.TEXT, stripBefore(text, '%', before, false), end.start());
    position = end.end();
    return skipAfter('%', end.group(2).isEmpty() ? ' ' : end.group(2).charAt(0));
  }

  /** Where the braces close that opened at {@code open}. */
  private int close(char kind, int start, int open) {
    String end = kind == '{' ? "}}" : kind + "}";
    int depth = 0;
    for (int i = start; i < source.length(); i++) {
      char c = source.charAt(i);
      if (depth == 0 && source.startsWith(end, i)) {
        return i;
      }
      if (kind == '#') {
        continue;
      }
      if (c == '"' || c == '\'') {
        i = closeQuote(i, open);
      } else if ("([{".indexOf(c) >= 0) {
        depth++;
      } else if (")]}".indexOf(c) >= 0) {
        depth--;
      }
    }
    throw error(open, "'" + source.substring(open, open + 2) + "' is not closed by '" + end + "'");
  }

  private int closeQuote(int quote, int open) {
    for (int i = quote + 1; i < source.length(); i++) {
      char c = source.charAt(i);
      if (c == '\\') {
        i++;
      } else if (c == source.charAt(quote)) {
        return i;
      }
    }
    throw error(open, "a quotation mark is not closed");
  }

  private void add(Kind kind, String content, int end) {
    if (kind != Kind.TEXT || !content.isEmpty()) {
      parts.add(new Part(kind, content, line(end)));
    }
  }

  private int line(int end) {
    return 1 + (int) source.substring(0, end).chars().filter(c -> c == '\n').count();
  }

  private MoontideException error(int place, String what) {
    return MoontideException.configuration("%s, line %d: %s", name, line(place), what);
  }

  /** The parts as jinjava reads them with none of its own treatment of white space. */
  static String toJinjava(List<Part> parts) {
    StringBuilder out = new StringBuilder();
    int line = 1;
    for (Part part : parts) {
      if (part.kind() == Kind.TEXT) {
        line += appendText(part.content(), out);
        continue;
      }
      String content = new JinjaTokens(part.content()).forJinjava();
      int contentLines = (int) content.chars().filter(c -> c == '\n').count();
      // Lines that were taken away go into the braces, so that errors name the right one.
      int missing = Math.max(0, part.line() - line - contentLines);
      line += missing + contentLines;
      boolean expression = part.kind() == Kind.EXPRESSION;
      out.append(expression ? "{{ " : "{% ").append("\n".repeat(missing));
      out.append(content).append(expression ? " }}" : " %}");
    }
    return out.toString();
  }

  private static int appendText(String text, StringBuilder out) {
    int lines = 0;
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      lines += c == '\n' ? 1 : 0;
      char next = i + 1 < text.length() ? text.charAt(i + 1) : '{';
      if (c == '{' && "{%#".indexOf(next) >= 0) {
        out.append("{{ '{' }}");
      } else {
        out.append(c);
      }
    }
    return lines;
  }
}
