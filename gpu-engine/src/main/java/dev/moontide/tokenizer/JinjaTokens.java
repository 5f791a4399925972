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
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The tokens of what stands between the braces of a Jinja expression or tag. */
final class JinjaTokens {
  // Possessive, so that no literal is long enough to overflow the stack.
  private static final Pattern TOKEN =
      Pattern.compile(
          "\"(?:[^\"\\\\]++|\\\\.)*+\"|'(?:[^'\\\\]++|\\\\.)*+'"
              + "|[A-Za-z_][A-Za-z_0-9]*+|[0-9][0-9_]*+(?:\\.[0-9]++)?|[=!<>]=|\\*\\*|//|\\S",
          Pattern.DOTALL);
  private static final Set<String> OPERATORS =
      Set.of("and", "or", "not", "in", "is", "if", "else", "return");

  private final String source;
  private final List<String> texts = new ArrayList<>();
  private final List<Integer> starts = new ArrayList<>();

  JinjaTokens(String source) {
    this.source = source;
    Matcher matcher = TOKEN.matcher(source);
    while (matcher.find()) {
      texts.add(matcher.group());
      starts.add(matcher.start());
    }
  }

  int size() {
    return texts.size();
  }

  /** The token's text; empty before the first and after the last. */
  String text(int index) {
    return index >= 0 && index < texts.size() ? texts.get(index) : "";
  }

  /** The source from token {@code from} up to token {@code to}, exclusive. */
  String source(int from, int to) {
    return from >= to ? "" : source.substring(starts.get(from), end(to - 1));
  }

  private int end(int index) {
    return starts.get(index) + texts.get(index).length();
  }

  boolean isName(int index) {
    String text = text(index);
    return !text.isEmpty() && (Character.isLetter(text.charAt(0)) || text.charAt(0) == '_');
  }

  /** Whether a value ends with this token, so that a bracket after it subscripts or calls it. */
  private boolean endsValue(int index) {
    String text = text(index);
    return text.equals(")")
        || text.equals("]")
        || (isName(index) && !OPERATORS.contains(text))
        || (!text.isEmpty() && "\"'".indexOf(text.charAt(0)) >= 0);
  }

  /** The first token outside brackets that is {@code text}, from {@code from} on. */
  Optional<Integer> find(String text, int from) {
    int depth = 0;
    for (int i = from; i < size(); i++) {
      String token = text(i);
      if (depth == 0 && token.equals(text)) {
        return Optional.of(i);
      }
      depth += depthChange(token);
    }
    return Optional.empty();
  }

  private static int depthChange(String token) {
    return switch (token) {
      case "(", "[", "{" -> 1;
      case ")", "]", "}" -> -1;
      default -> 0;
    };
  }

  /**
   * The source as jinjava reads it as Jinja would. Slices, {@code value[a:b:c]}, become calls of
   * the filter {@code slice_of}, since jinjava's own take neither an expression as a bound nor a
   * step. Spaces go between closing braces, which would end the expression, and around a sign,
   * which jinjava takes for the number's.
   */
  String forJinjava() {
    JinjaTokens tokens = this;
    for (Optional<String> next = withoutFirstSlice(); next.isPresent(); ) {
      tokens = new JinjaTokens(next.get());
      next = tokens.withoutFirstSlice();
    }
    return tokens.spaced();
  }

  private String spaced() {
    StringBuilder spaced = new StringBuilder();
    int from = 0;
    for (int i = 1; i < size(); i++) {
      boolean braces = text(i).equals("}") && text(i - 1).equals("}");
      boolean binary = "+-".contains(text(i)) && (endsValue(i - 1) || isNumber(i - 1));
      if (braces || binary) {
        spaced.append(source, from, starts.get(i)).append(' ').append(text(i)).append(' ');
        from = end(i);
      }
    }
    return spaced.append(source.substring(from)).toString();
  }

  private boolean isNumber(int index) {
    return !text(index).isEmpty() && Character.isDigit(text(index).charAt(0));
  }

  private Optional<String> withoutFirstSlice() {
    for (int open = 0; open < size(); open++) {
      if (!text(open).equals("[") || !endsValue(open - 1)) {
        continue;
      }
      List<Integer> bounds = new ArrayList<>(List.of(open));
      int close = open + 1;
      for (int depth = 0; close < size(); close++) {
        depth += depthChange(text(close));
        if (depth < 0) {
          break;
        }
        if (depth == 0 && text(close).equals(":")) {
          bounds.add(close);
        }
      }
      if (bounds.size() > 1 && close < size()) {
        bounds.add(close);
        return Optional.of(withoutSlice(bounds));
      }
    }
    return Optional.empty();
  }

  /**
   * Writes one slice as a filter.
   *
   * @param marks the opening bracket, the colons, the closing bracket
   */
  private String withoutSlice(List<Integer> marks) {
    int open = marks.get(0);
    int close = marks.get(marks.size() - 1);
    int value = valueStart(open);
    List<String> bounds = new ArrayList<>();
    for (int i = 1; i < marks.size(); i++) {
      String bound = source(marks.get(i - 1) + 1, marks.get(i));
      bounds.add(bound.isEmpty() ? "none" : "(" + bound + ")");
    }
    return source.substring(0, starts.get(value))
        + ("(" + source(value, open) + "|slice_of(" + String.join(", ", bounds) + "))")
        + source.substring(end(close));
  }

  /** Where the value begins that the bracket at {@code bracket} subscripts. */
  private int valueStart(int bracket) {
    int i = bracket - 1;
    while (true) {
      if (text(i).equals(")") || text(i).equals("]")) {
        int depth = 0;
        do {
          depth -= depthChange(text(i));
          i--;
        } while (depth > 0 && i >= 0);
        if (endsValue(i)) {
          continue;
        }
        i++;
      }
      if (text(i - 1).equals(".")) {
        i -= 2;
        continue;
      }
      return Math.max(i, 0);
    }
  }
}
