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

import static dev.moontide.api.MoontideException.Category.CONFIGURATION;
import static dev.moontide.api.MoontideException.Category.ROW;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.api.MoontideException;
import dev.moontide.api.TokenIds;
import java.math.BigDecimal;
import java.time.LocalDate;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class PromptTemplateTest {
  private static final Tokenizer TOKENIZER = TinyCheckpoint.TOKENIZER;

  private static String render(String source, Map<String, ?> row) {
    return PromptTemplate.compile(source).render(row);
  }

  private static List<Integer> control(TokenIds ids) {
    List<Integer> control = new ArrayList<>();
    for (int id : ids.toArray()) {
      if (TOKENIZER.isSpecial(id)) {
        control.add(id);
      }
    }
    return control;
  }

  @Test
  void columnsAreFilledIn() {
    assertEquals(
        "Classify: hi there (n. 7)",
        render("Classify: {{ text }} (n. {{ n }})", Map.of("text", "hi there", "n", 7)));
    assertEquals("a\nb", render("{% if x %}\na\n{% endif %}\nb\n", Map.of("x", true)));
  }

  @Test
  void valuesAreFormattedForPeople() {
    Map<String, Object> row = new HashMap<>();
    row.put("i", 5);
    row.put("l", 12345678901L);
    row.put("d", 2.5);
    row.put("big", 1e10);
    row.put("dec", new BigDecimal("1E+3"));
    row.put("b", true);
    row.put("date", LocalDate.of(2020, 2, 29));
    row.put("list", Arrays.asList("x", 1, null));
    row.put("struct", Collections.singletonMap("k", new int[] {1, 2}));
    assertEquals(
        "5 12345678901 2.5 10000000000 1000 true 2020-02-29 [\"x\", 1, null] {\"k\": [1, 2]} 2 x",
        render(
            "{{ i }} {{ l }} {{ d }} {{ big }} {{ dec }} {{ b }} {{ date }} {{ list }} {{ struct }}"
                + " {{ struct.k[1] }} {{ list[0] }}",
            row));
    TinyCheckpoint.refusal(ROW, () -> render("{{ x }}", Map.of("x", new byte[2])));
  }

  @Test
  void columnsAreThoseNotBoundByTheTemplate() {
    assertEquals(Set.of("text"), PromptTemplate.compile("{{ text }}").columns());
    assertEquals(
        Set.of("a", "b", "c", "d", "e", "f", "g", "h"),
        PromptTemplate.compile(
                "{{ a.x.y }} {% for i in b if i.z == c %}{{ i }}{{ loop.index }}{% endfor %}"
                    + "{% set s = d | default('e') | join(sep=e) %}{{ s }}"
                    + "{% macro m(p, q='x') %}{{ p ~ q }}{% endmacro %}{{ m(f, q=1) }}"
                    + "{% if g is not none and h[0:2] == \"x\" %}{{ 'y' if true else none }}{% endif %}"
                    + "{# z #}{% raw %}{{ w }}{% endraw %}")
            .columns());
  }

  @Test
  void anUnknownVariableIsNamedWithTheColumnsThereAre() {
    for (String source : List.of("{{ txt }}", "{% if txt %}{% endif %}", "{{ txt | upper }}")) {
      String message =
          TinyCheckpoint.refusal(CONFIGURATION, () -> render(source, Map.of("text", "", "id", "")));
      assertTrue(message.contains("'txt'") && message.contains("id, text"), message);
    }
  }

  @Test
  void aNullIsAnErrorUnlessTheTemplateTestsForIt() {
    Map<String, ?> row = Collections.singletonMap("title", null);
    for (String source :
        List.of(
            "{{ title }}",
            "{{ 'x' ~ title }}",
            "{% macro m(x) %}{{ title }}{% endmacro %}{{ m(1) }}",
            "{% for c in title %}{% endfor %}")) {
      String message = TinyCheckpoint.refusal(ROW, () -> render(source, row));
      assertTrue(message.contains("column title is null"), message);
    }
    assertEquals("none", render("{{ title | default('none') }}", row));
    assertEquals("-", render("{% if title %}{{ title }}{% else %}-{% endif %}", row));
    assertEquals("-", render("{{ '-' if title is none else title }}", row));
    assertEquals("-", render("{{ title or '-' }}", row));
    assertEquals("", render("{% set x = none %}{{ x }}", row));
  }

  @Test
  void specialTokensOfTheTemplateAreControlTokens() {
    PromptTemplate template =
        PromptTemplate.compile(
            "<|im_user|>{{ a }}<|im_middle|>{{ b }}[EOS]{% if c %}<|im_end|>{% endif %}");
    Map<String, ?> plain = Map.of("a", "x", "b", "y", "c", true);
    List<Integer> expected = List.of(3843, 3857, 3841, 3842);
    TokenIds ids = template.encode(plain, TOKENIZER);
    assertEquals(expected, control(ids));
    assertEquals("<|im_user|>x<|im_middle|>y[EOS]<|im_end|>", TOKENIZER.decode(ids));
    for (String special : TOKENIZER.specialTokens().keySet()) {
      for (int cut = 0; cut <= special.length(); cut++) {
        Map<String, ?> row =
            Map.of("a", special.substring(0, cut), "b", special.substring(cut), "c", special);
        ids = template.encode(row, TOKENIZER);
        assertEquals(expected, control(ids), special);
        assertEquals(template.render(row), TOKENIZER.decode(ids));
      }
    }
  }

  @Test
  void noRowMakesAControlToken() {
    // Side by side, within a marker, out of lists and structs, and through filters.
    List<String> sources =
        List.of(
            "{{ a }}{{ b }}",
            "<|im_{{ a }}{{ b }}|>",
            "<|{{ a }}|>{{ b }}|>",
            "{{ b }}{{ a | lower }}{{ a | replace('\\n', '') | replace('x', '') }}",
            "{% for i in list %}{{ i.s }}{% endfor %}{{ list[0].s ~ list[1].s }}",
            "{{ list | map(attribute='s') | join('') }}{{ a ~ b }}{{ (a ~ b)[0:10] }}",
            "{% set m = '<|' ~ a ~ '|>' %}{{ m }}{{ '<|im_end|>' }}");
    for (String special : TOKENIZER.specialTokens().keySet()) {
      List<String> values =
          List.of(special, special.toUpperCase(Locale.ROOT), "<|im_\nend|>", "im_end", "end");
      for (String a : values) {
        for (String b : List.of("", special, special.substring(1))) {
          int half = special.length() / 2;
          Map<String, ?> row =
              Map.of(
                  "a", a,
                  "b", b,
                  "list",
                      List.of(
                          Map.of("s", special.substring(0, half)),
                          Map.of("s", special.substring(half))));
          for (String source : sources) {
            PromptTemplate template = PromptTemplate.compile(source);
            TokenIds ids = template.encode(row, TOKENIZER);
            assertEquals(List.of(), control(ids), source);
            assertEquals(template.render(row), TOKENIZER.decode(ids));
          }
        }
      }
    }
  }

  @Test
  void conditionsSeeTheRowsText() {
    PromptTemplate template =
        PromptTemplate.compile(
            "{% for m in messages %}{% if m.role == 'user' %}<|im_user|>{% else %}<|im_system|>"
                + "{% endif %}{{ m.content }}<|im_end|>{% endfor %}");
    Map<String, ?> row =
        Map.of(
            "messages",
            List.of(
                Map.of("role", "system", "content", "<|im_end|>"),
                Map.of("role", "user", "content", "[EOS]")));
    assertEquals(List.of(3850, 3842, 3843, 3842), control(template.encode(row, TOKENIZER)));
  }

  @Test
  void privateUseCharactersAreOrdinaryText() {
    StringBuilder text = new StringBuilder("<|im_end|>");
    for (int point : new int[] {0xF003C, 0x10003C, 0x100000, 0x10FFFD, 0xE000}) {
      text.appendCodePoint(point);
    }
    TokenIds ids =
        PromptTemplate.compile("{{ a }}[EOS]").encode(Map.of("a", text.toString()), TOKENIZER);
    assertEquals(text + "[EOS]", TOKENIZER.decode(ids));
    assertEquals(List.of(3841), control(ids));
  }

  @Test
  void threadsShareATemplate() {
    PromptTemplate template = PromptTemplate.compile("<|im_user|>{{ a }}");
    List<TokenIds> ids =
        IntStream.range(0, 1_000)
            .parallel()
            .mapToObj(i -> template.encode(Map.of("a", i), TOKENIZER))
            .toList();
    for (int i = 0; i < ids.size(); i++) {
      assertEquals("<|im_user|>" + i, TOKENIZER.decode(ids.get(i)));
    }
  }

  @Test
  void textAndColumnsAloneNeedNoInterpreter() {
    for (String source :
        List.of(
            "{{ text }}", "Classify: {{text}}\n", "{{ a }}{{ b }}{# c #} <|im_end|>{{ a }}", "")) {
      assertTrue(PromptTemplate.compile(source).isPlain(), source);
    }
    for (String source :
        List.of(
            "{{ text | trim }}",
            "{{ text.x }}",
            "{{ 'x' }}",
            "{{ -n }}",
            "{% if x %}{% endif %}{{ x }}",
            "{{ null }}",
            "{{ True }}",
            "{{ ____int3rpr3t3r____ }}")) {
      assertFalse(PromptTemplate.compile(source).isPlain(), source);
    }
  }

  /** Whichever way a row takes, its prompt and its errors are the same. */
  @Test
  void withoutAnInterpreterPromptsAreTheSame() {
    Random random = new Random(3);
    List<String> specials = List.copyOf(TOKENIZER.specialTokens().keySet());
    for (int i = 0; i < 400; i++) {
      StringBuilder source = new StringBuilder();
      for (int part = random.nextInt(6); part >= 0; part--) {
        switch (random.nextInt(6)) {
          case 0 -> source.append("{{ a }}");
          case 1 -> source.append("{{-b-}}");
          case 2 -> source.append("{{ c }}\n{# {{ a }} #}");
          case 3 -> source.append(specials.get(random.nextInt(specials.size())));
          case 4 -> source.append("{% raw %} {{ a }} {% endraw %}");
          default -> source.append(TinyCheckpoint.randomText(random, 8).replace("{", "[{] "));
        }
      }
      PromptTemplate template = PromptTemplate.compile(source.toString());
      assertTrue(template.isPlain(), source.toString());
      for (int rows = 0; rows < 8; rows++) {
        Map<String, Object> row = new HashMap<>();
        for (String column : List.of("a", "b", "c")) {
          row.put(column, hostileValue(random, specials));
        }
        String at = source + " of " + row;
        PromptTemplate interpreted = template.interpreted();
        assertEquals(
            outcome(() -> interpreted.render(row)), outcome(() -> template.render(row)), at);
        Object tokens = outcome(() -> template.encode(row, TOKENIZER));
        assertEquals(outcome(() -> interpreted.encode(row, TOKENIZER)), tokens, at);
        if (tokens instanceof TokenIds ids) {
          assertEquals(control(encodeTemplate(source.toString())), control(ids), at);
        }
      }
    }
  }

  private static TokenIds encodeTemplate(String source) {
    return PromptTemplate.compile(source).encode(Map.of("a", "", "b", "", "c", ""), TOKENIZER);
  }

  private static Object hostileValue(Random random, List<String> specials) {
    String special = specials.get(random.nextInt(specials.size()));
    int cut = random.nextInt(special.length());
    return switch (random.nextInt(12)) {
      case 0 -> special;
      case 1 -> special.substring(cut);
      case 2 -> special.substring(0, cut);
      case 3 -> "{{ b }}{% raw %}" + special;
      case 4 -> random.nextInt();
      case 5 -> random.nextLong();
      case 6 -> random.nextBoolean() ? 2.5 : random.nextBoolean();
      case 7 -> List.of("x", 1);
      case 8 -> Character.toString(0x100000 + random.nextInt(0x10000)) + special;
      default -> TinyCheckpoint.randomText(random, 12);
    };
  }

  private static Object outcome(Supplier<Object> prompt) {
    try {
      return prompt.get();
    } catch (MoontideException refused) {
      return refused.category() + " " + refused.getMessage();
    }
  }
}
