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

import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * The variables a template takes from outside, found from its tokens: names that are neither
 * attributes, filters, tests, functions or keyword arguments, nor bound by the template itself.
 *
 * @param all every such variable, in the order of their first use
 * @param tested those the template tests for a value ({@code if x}, {@code x is none}, {@code x |
 *     default(…)}), so that they may have none
 */
record TemplateVariables(Set<String> all, Set<String> tested) {
  private static final Set<String> WORDS =
      Set.of(
          "and",
          "or",
          "not",
          "in",
          "is",
          "if",
          "else",
          "true",
          "false",
          "none",
          "True",
          "False",
          "None",
          "recursive",
          "loop",
          "caller",
          "varargs",
          "kwargs");
  private static final Set<String> EMPTINESS_TESTS =
      Set.of("none", "defined", "undefined", "string", "mapping", "iterable", "number");

  static TemplateVariables of(List<TemplateSource.Part> parts) {
    Set<String> used = new LinkedHashSet<>();
    Set<String> tested = new LinkedHashSet<>();
    Set<String> bound = new LinkedHashSet<>();
    for (TemplateSource.Part part : parts) {
      if (part.kind() == TemplateSource.Kind.TEXT) {
        continue;
      }
      JinjaTokens tokens = new JinjaTokens(part.content());
      String tag = part.kind() == TemplateSource.Kind.TAG ? tokens.text(0) : "";
      int from = tag.isEmpty() ? 0 : 1 + bind(tag, tokens, bound);
      boolean condition = tag.equals("if") || tag.equals("elif");
      for (int i = from; i < tokens.size(); i++) {
        if (isVariable(tokens, i)) {
          used.add(tokens.text(i));
          if (condition || isTested(tokens, i)) {
            tested.add(tokens.text(i));
          }
        }
      }
    }
    used.removeAll(bound);
    tested.retainAll(used);
    return new TemplateVariables(Set.copyOf(used), Set.copyOf(tested));
  }

  /** Adds the names that a tag binds; how many tokens after the tag's name they take. */
  private static int bind(String tag, JinjaTokens tokens, Set<String> bound) {
    int end =
        switch (tag) {
          case "for" -> tokens.find("in", 1).orElse(1);
          case "set" -> tokens.find("=", 1).orElse(tokens.size());
          case "macro", "call" -> tokens.size();
          default -> 1;
        };
    // "set a.b = …" and "call f(x)" bind nothing new, but what they name is no variable either.
    for (int i = 1; i < end; i++) {
      if (tokens.isName(i)) {
        bound.add(tokens.text(i));
      }
    }
    return end - 1;
  }

  private static boolean isVariable(JinjaTokens tokens, int i) {
    String before = tokens.text(i - 1);
    String after = tokens.text(i + 1);
    boolean test = before.equals("is") || (before.equals("not") && tokens.text(i - 2).equals("is"));
    return tokens.isName(i)
        && !WORDS.contains(tokens.text(i))
        && !before.equals(".")
        && !before.equals("|")
        && !test
        && !after.equals("(")
        && !after.equals("=");
  }

  private static boolean isTested(JinjaTokens tokens, int i) {
    String before = tokens.text(i - 1);
    String after = tokens.text(i + 1);
    if (after.equals("is")) {
      int test = tokens.text(i + 2).equals("not") ? i + 3 : i + 2;
      return EMPTINESS_TESTS.contains(tokens.text(test));
    }
    return before.equals("if")
        || (before.equals("not") && tokens.text(i - 2).equals("if"))
        || after.equals("or")
        || (after.equals("|") && Set.of("default", "d").contains(tokens.text(i + 2)));
  }
}
