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
import java.util.Locale;
import java.util.Objects;
import jinjava.javax.el.ELException;
import org.jspecify.annotations.Nullable;

/** Python's methods of strings, which chat templates call and Java's strings do not have. */
final class PythonStrings {
  private PythonStrings() {}

  /** {@code text.method(arguments)}. */
  static Object call(String text, String method, Object[] arguments) {
    return switch (method) {
      case "strip" -> strip(text, optional(arguments, 0), true, true);
      case "lstrip" -> strip(text, optional(arguments, 0), true, false);
      case "rstrip" -> strip(text, optional(arguments, 0), false, true);
      case "startswith" -> text.startsWith(required(method, arguments, 0));
      case "endswith" -> text.endsWith(required(method, arguments, 0));
      case "upper" -> text.toUpperCase(Locale.ROOT);
      case "lower" -> text.toLowerCase(Locale.ROOT);
      case "capitalize" -> capitalize(text);
      case "title" -> title(text);
      case "replace" ->
          text.replace(required(method, arguments, 0), required(method, arguments, 1));
      case "find" -> (long) text.indexOf(required(method, arguments, 0));
      case "count" ->
          (long) splitAt(text, required(method, arguments, 0), Long.MAX_VALUE).size() - 1;
      case "join" -> join(text, arguments);
      case "split" -> {
        String separator = optional(arguments, 0);
        long limit = arguments.length > 1 ? ((Number) arguments[1]).longValue() : -1;
        limit = limit < 0 ? Long.MAX_VALUE : limit;
        yield separator == null ? splitAtSpace(text, limit) : splitAt(text, separator, limit);
      }
      case "splitlines" -> text.lines().toList();
      case "isdigit" -> !text.isEmpty() && text.chars().allMatch(Character::isDigit);
      default -> throw new ELException(String.format("a string has no method %s", method));
    };
  }

  /** {@code text[index]}, negative indices counting from the end; null if there is none. */
  static @Nullable String characterAt(String text, Object index) {
    try {
      int i = Integer.parseInt(index.toString());
      int at = i < 0 ? i + text.length() : i;
      return at >= 0 && at < text.length() ? text.substring(at, at + 1) : null;
    } catch (NumberFormatException e) {
      return null;
    }
  }

  /** Strips the given characters, or white space if there are none. */
  static String strip(String text, @Nullable String characters, boolean start, boolean end) {
    int from = 0;
    int to = text.length();
    while (start && from < to && isStripped(text.charAt(from), characters)) {
      from++;
    }
    while (end && from < to && isStripped(text.charAt(to - 1), characters)) {
      to--;
    }
    return text.substring(from, to);
  }

  private static boolean isStripped(char c, @Nullable String characters) {
    return characters == null ? SplitPattern.isSpace(c) : characters.indexOf(c) >= 0;
  }

  private static String capitalize(String text) {
    return text.isEmpty()
        ? text
        : text.substring(0, 1).toUpperCase(Locale.ROOT)
            + text.substring(1).toLowerCase(Locale.ROOT);
  }

  private static String title(String text) {
    StringBuilder title = new StringBuilder(text.length());
    boolean inWord = false;
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      title.append(inWord ? Character.toLowerCase(c) : Character.toTitleCase(c));
      inWord = Character.isLetter(c);
    }
    return title.toString();
  }

  private static String join(String separator, Object[] arguments) {
    if (arguments.length != 1 || !(arguments[0] instanceof Iterable<?> items)) {
      throw new ELException("join needs one list");
    }
    List<String> texts = new ArrayList<>();
    items.forEach(item -> texts.add(Objects.toString(item, "")));
    return String.join(separator, texts);
  }

  private static List<String> splitAt(String text, String separator, long limit) {
    if (separator.isEmpty()) {
      throw new ELException("the separator is empty");
    }
    List<String> parts = new ArrayList<>();
    int from = 0;
    int at = text.indexOf(separator);
    while (at >= 0 && parts.size() < limit) {
      parts.add(text.substring(from, at));
      from = at + separator.length();
      at = text.indexOf(separator, from);
    }
    parts.add(text.substring(from));
    return parts;
  }

  private static List<String> splitAtSpace(String text, long limit) {
    List<String> parts = new ArrayList<>();
    int from = 0;
    while (true) {
      while (from < text.length() && SplitPattern.isSpace(text.charAt(from))) {
        from++;
      }
      if (from == text.length()) {
        return parts;
      }
      int to = from;
      while (to < text.length() && !SplitPattern.isSpace(text.charAt(to))) {
        to++;
      }
      if (parts.size() == limit) {
        parts.add(strip(text.substring(from), null, false, true));
        return parts;
      }
      parts.add(text.substring(from, to));
      from = to;
    }
  }

  private static @Nullable String optional(Object[] arguments, int index) {
    return index < arguments.length ? Objects.toString(arguments[index], null) : null;
  }

  private static String required(String method, Object[] arguments, int index) {
    String argument = optional(arguments, index);
    if (argument == null) {
      throw new ELException(String.format("%s needs %d arguments", method, index + 1));
    }
    return argument;
  }
}
