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
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class JinjaTest {
  private static String render(String source, Map<String, ?> variables) {
    return Jinja.compile("template", source).render(variables, name -> null);
  }

  /** What Jinja2 3.1 renders, set up as transformers sets it up. */
  @Test
  void rendersWhatJinjaRenders() {
    JsonNode cases = TinyCheckpoint.resource("/tokenizer/jinja.json");
    assertEquals(112, cases.size());
    for (JsonNode golden : cases) {
      Map<String, Object> variables =
          new ObjectMapper().convertValue(golden.get("variables"), new TypeReference<>() {});
      assertEquals(
          golden.get("output").asText(),
          render(golden.get("template").asText(), variables),
          golden.get("name").asText());
    }
  }

  /** An interpreter serves one row after another: nothing of a row is left for the next. */
  @Test
  void rowsLeaveNothingBehind() {
    Jinja template =
        Jinja.compile(
            "template",
            "{% macro m(y) %}[{{ y }}]{% endmacro %}{% if x %}{% set z = x %}{% set x = 'w' %}"
                + "{% endif %}{{ m(z) }}{{ x }}{{ n.a }}{% if n.bad %}"
                + "{{ raise_exception('no') }}{% endif %}");
    for (int round = 0; round < 3; round++) {
      assertEquals("[]", template.render(Map.of(), name -> null));
      assertEquals("[v]w1", template.render(Map.of("x", "v", "n", Map.of("a", 1)), name -> null));
      TinyCheckpoint.refusal(
          ROW, () -> template.render(Map.of("x", "u", "n", Map.of("bad", 1)), name -> null));
      assertEquals("[]", template.render(Map.of("n", Map.of()), name -> null));
      assertEquals("[o]w", template.render(Map.of(), name -> name.equals("x") ? "o" : null));
    }
  }

  @Test
  void whatAValueSaysIsNoTemplate() {
    Map<String, String> row = Map.of("x", "{{ 7 * 7 }}{% for %}{# c");
    assertEquals(row.get("x"), render("{{ x }}", row));
    assertEquals(row.get("x"), render("{% macro m(y) %}{{ y }}{% endmacro %}{{ m(x) }}", row));
    assertEquals("<b>&\"'", render("{{ x }}", Map.of("x", "<b>&\"'")));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{{ x.getClass().forName('java.lang.Runtime') }}",
        "{{ m.getClass() }}",
        "{{ m.stream().map(1) }}",
        "{{ ____int3rpr3t3r____.getConfig() }}",
        "{{ x.repeat(2) }}",
        "{{ x.chars() }}",
        "{{ n.toString() }}",
        "{{ (x|upper).intern() }}",
        "{{ today() }}",
        "{{ unixtimestamp() }}",
        "{{ x|b64decode }}",
        "{{ x|fromjson }}",
        "{{ x|random }}",
        "{{ x|render }}",
      })
  void aTemplateReachesNoJava(String source) {
    TinyCheckpoint.refusal(
        ROW, () -> render(source, Map.of("x", "YQ==", "m", List.of("a"), "n", 1)));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{% include '/etc/passwd' %}",
        "{% import 'x' as y %}",
        "{% extends 'x' %}",
        "{% from 'x' import y %}",
      })
  void aTemplateReadsNoFiles(String source) {
    TinyCheckpoint.refusal(CONFIGURATION, () -> render(source, Map.of()));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
        "{% macro m() %}{% for a in range(9999) %}{{ m() }}{% endfor %}{% endmacro %}{{ m() }}",
        "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
        "{% set ns = namespace(x='aaaaaaaa') %}"
            + "{% for a in range(40) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
        "{{ 'a'|center(2000000000) }}",
        "{{ 'a' * 2000000000 }}",
      })
  void aTemplateIsBounded(String source) {
    TinyCheckpoint.refusal(ROW, () -> render(source, Map.of()));
  }

  @Test
  void aTemplateMayRefuse() {
    String source =
        "{% macro m() %}{{ raise_exception('roles must alternate') }}{% endmacro %}"
            + "{% if x %}{{ m() }}{% else %}{{ raise_exception('no x') }}{% endif %}";
    assertTrue(
        TinyCheckpoint.refusal(ROW, () -> render(source, Map.of("x", "1")))
            .contains("roles must alternate"));
    assertTrue(TinyCheckpoint.refusal(ROW, () -> render(source, Map.of())).contains("no x"));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "a\n{{ x",
        "a\n{% if x %}",
        "a\n{{ x | }}",
        "a\n{{ x + }}",
        "a\n{{ (x }}",
        "a\n{{ 'x }}",
        "a\n{% if x = %}{% endif %}",
        "a\n{% set y = x + %}",
        "a\n{% for x %}{% endfor %}",
        "a\n{% for y in x + %}{% endfor %}",
        "a\n{% nonsense %}",
        "a\n{% raw %}",
        "a\n{# x",
        "a\n{% endif %}",
      })
  void aSyntaxErrorNamesItsLine(String source) {
    String message = TinyCheckpoint.refusal(CONFIGURATION, () -> render(source, Map.of()));
    assertTrue(message.contains("template, line 2"), message);
  }

  @Test
  void threadsShareATemplate() {
    Jinja template = Jinja.compile("template", "{% for i in range(20) %}{{ x }}{% endfor %}");
    List<String> rendered =
        IntStream.range(0, 2_000)
            .parallel()
            .mapToObj(i -> template.render(Map.of("x", i), name -> null))
            .toList();
    for (int i = 0; i < rendered.size(); i++) {
      assertEquals(Integer.toString(i).repeat(20), rendered.get(i));
    }
  }
}
