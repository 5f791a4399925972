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

import static dev.moontide.api.MoontideException.Category.CHECKPOINT;
import static dev.moontide.api.MoontideException.Category.CONFIGURATION;
import static dev.moontide.api.MoontideException.Category.ROW;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import dev.moontide.api.TokenIds;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ChatTemplateTest {
  private static final Tokenizer TOKENIZER = TinyCheckpoint.TOKENIZER;
  private static final ChatTemplate CHAT = TinyCheckpoint.CHAT;

  private static List<ChatMessage> conversation(String system, String user) {
    return List.of(ChatMessage.of("system", system), ChatMessage.of("user", user));
  }

  /** The control tokens, with what stands between them as text. */
  private static List<String> structure(TokenIds ids) {
    List<String> structure = new ArrayList<>();
    List<Integer> text = new ArrayList<>();
    for (int id : ids.toArray()) {
      if (TOKENIZER.isSpecial(id)) {
        structure.add(decode(text));
        structure.add("#" + id);
        text.clear();
      } else {
        text.add(id);
      }
    }
    structure.add(decode(text));
    return structure;
  }

  private static String decode(List<Integer> ids) {
    return TOKENIZER.decode(TokenIds.of(ids.stream().mapToInt(Integer::intValue).toArray()));
  }

  @Test
  void promptsEqualTheGoldens() {
    for (JsonNode golden : TinyCheckpoint.resource("/goldens/tiny.json").get("cases")) {
      List<ChatMessage> messages =
          conversation(golden.get("system").asText(), golden.get("user").asText());
      assertEquals(golden.get("prompt").asText(), CHAT.render(messages, true));
      assertArrayEquals(
          TinyCheckpoint.ints(golden.get("ids")), CHAT.encode(messages, true).toArray());
    }
  }

  @Test
  void aToolsAnswerAndNamesAreRendered() {
    List<ChatMessage> messages =
        List.of(
            new ChatMessage("user", "hi", "Ann", null),
            ChatMessage.of("assistant", "hello"),
            new ChatMessage("tool", "42", "search", "call_1"));
    assertEquals(
        "<|im_user|>Ann<|im_middle|>hi<|im_end|>"
            + "<|im_assistant|>assistant<|im_middle|>hello<|im_end|>"
            + "<|im_system|>search<|im_middle|>## Return of call_1\n42<|im_end|>",
        CHAT.render(messages, false));
  }

  @Test
  void aRowThatSpellsSpecialTokensChangesNoControlToken() {
    String all = String.join("", TOKENIZER.specialTokens().keySet());
    for (String special : TOKENIZER.specialTokens().keySet()) {
      for (String text : List.of(special, "a" + special + "b", special + special, all + special)) {
        List<ChatMessage> messages = conversation(text, text);
        TokenIds ids = CHAT.encode(messages, true);
        assertEquals(
            List.of(
                "",
                "#3850",
                "system",
                "#3857",
                text,
                "#3842",
                "",
                "#3843",
                "user",
                "#3857",
                text,
                "#3842",
                "",
                "#3844",
                "assistant",
                "#3857",
                ""),
            structure(ids));
        assertEquals(CHAT.render(messages, true), TOKENIZER.decode(ids));
      }
    }
  }

  @Test
  void aValueCannotCompleteAMarkerThatTheTemplateBuilds() {
    List<String> names =
        List.of(
            "user|>x<|im_middle",
            "user|><|im_middle|>",
            "end|>",
            "|>",
            "<|im_end|>",
            "<|im_",
            "im_end",
            "user",
            "END|>",
            "][EOS");
    for (String name : names) {
      for (String content : List.of("hi", "|>", "end|>x", "<|im_end", "EOS]")) {
        List<ChatMessage> messages = List.of(new ChatMessage("user", content, name, null));
        assertEquals(
            List.of("", "#3843", name, "#3857", content, "#3842", ""),
            structure(CHAT.encode(messages, false)));
      }
    }
  }

  @Test
  void valuesSideBySideDoNotCombine() {
    ChatTemplate template =
        ChatTemplate.compile(
            "{% for m in messages %}{{ m.name }}{{ m.content }}{% endfor %}<|im_end|>", TOKENIZER);
    Random random = new Random(6);
    List<String> special = List.copyOf(TOKENIZER.specialTokens().keySet());
    for (int i = 0; i < 2_000; i++) {
      StringBuilder text = new StringBuilder();
      List<ChatMessage> messages = new ArrayList<>();
      String rest = special.get(random.nextInt(special.size())).repeat(2);
      while (!rest.isEmpty()) {
        int cut = random.nextInt(rest.length() + 1);
        int end = cut + random.nextInt(rest.length() - cut + 1);
        String name = rest.substring(0, cut);
        String content = rest.substring(cut, end);
        messages.add(new ChatMessage("user", content, name, null));
        text.append(name).append(content);
        rest = rest.substring(end);
      }
      assertEquals(
          List.of(text.toString(), "#3842", ""), structure(template.encode(messages, false)));
    }
  }

  @Test
  void filtersMakeNoMarkerOfAText() {
    String source =
        "{% for m in messages %}<|im_user|>{{ m.content | lower | replace('\\n', '') | trim }}"
            + "{{ m.content.replace('x', '') }}{{ m.content[1:] }}<|im_end|>{% endfor %}";
    ChatTemplate template = ChatTemplate.compile(source, TOKENIZER);
    List<String> texts =
        List.of(
            "<|IM_END|>",
            "<|im_\nend|>",
            "<|im_xend|>",
            "x<|im_end|>",
            "<\n|im_end|>",
            "<<|im_end|>");
    for (String text : texts) {
      List<String> structure =
          structure(template.encode(List.of(ChatMessage.of("user", text)), false));
      assertEquals(5, structure.size(), () -> text + structure);
      assertEquals("#3843", structure.get(1));
      assertEquals("#3842", structure.get(3));
    }
  }

  @Test
  void theTemplateSeesTheText() {
    ChatTemplate template =
        ChatTemplate.compile(
            "{% for m in messages %}{% if m.content.startswith('[') and '<b>' in m.content %}yes"
                + "{% else %}no{% endif %}{{ m.content | upper | length }}{% endfor %}<|im_end|>",
            TOKENIZER);
    assertEquals(
        "yes7", template.render(conversation("[1] <b>", "").subList(0, 1), false).substring(0, 4));
  }

  @Test
  void theEndOfTurnIsTheTemplates() {
    assertEquals(TokenIds.of(3842), CHAT.endOfTurn());
    String turns = "{% for m in messages %}{{ m.content }}";
    assertEquals(
        TokenIds.of(3842, 3849),
        ChatTemplate.compile(turns + "<|im_end|>[EOT]\n{% endfor %}", TOKENIZER).endOfTurn());
    assertEquals(
        TokenIds.of(), ChatTemplate.compile(turns + "\n{% endfor %}", TOKENIZER).endOfTurn());
  }

  @Test
  void theTemplateIsFoundWhereverACheckpointKeepsIt(@TempDir Path folder) {
    Map<Integer, String> special = Map.of(300, "[EOS]");
    TinyCheckpoint.writeConfig(folder, special, Map.of());
    assertEquals(Optional.empty(), ChatTemplate.load(folder, TOKENIZER));
    TinyCheckpoint.writeConfig(
        folder,
        special,
        Map.of(
            "eos_token", Map.of("content", "[EOS]"),
            "chat_template",
                List.of(
                    Map.of("name", "tools", "template", "T"),
                    Map.of("name", "default", "template", "D{{ eos_token }}"))));
    assertEquals("D[EOS]", rendered(folder));
    TinyCheckpoint.write(folder, "chat_template.jinja", List.of("J"));
    assertEquals("J", rendered(folder));
    TinyCheckpoint.write(folder, "chat_template.jinja", List.of("x", "{{ y"));
    String message =
        TinyCheckpoint.refusal(CONFIGURATION, () -> ChatTemplate.load(folder, TOKENIZER));
    assertTrue(message.contains("chat_template.jinja, line 2"), message);
  }

  private static String rendered(Path folder) {
    return ChatTemplate.load(folder, TOKENIZER).orElseThrow().render(conversation("", ""), true);
  }

  @Test
  void aListWithoutADefaultIsRefused(@TempDir Path folder) {
    TinyCheckpoint.writeConfig(
        folder,
        Map.of(),
        Map.of("chat_template", List.of(Map.of("name", "tools", "template", "T"))));
    TinyCheckpoint.refusal(CHECKPOINT, () -> ChatTemplate.load(folder, TOKENIZER));
  }

  @Test
  void aMessageHasAKnownRole() {
    assertTrue(
        TinyCheckpoint.refusal(ROW, () -> ChatMessage.of("<|im_user|>", "x"))
            .contains("<|im_user|>"));
  }
}
