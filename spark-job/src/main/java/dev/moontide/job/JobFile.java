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
package dev.moontide.job;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.NullNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.node.TextNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLParser;
import dev.moontide.api.MoontideException;
import dev.moontide.spark.JsonStrings;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;

/**
 * A job file: a YAML map of a command's options, in camelCase or kebab-case. Lists stand for
 * options of several values, {@code true} or {@code false} for flags, maps for options of {@code
 * K=V}.
 */
final class JobFile {
  private static final YAMLMapper YAML =
      YAMLMapper.builder().enable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION).build();

  private final Path file;
  private final Map<String, CommandOption> options = new LinkedHashMap<>();
  private final Function<String, Optional<String>> nearest;

  /**
   * @param groups the options allowed
   * @param nearest the option that is meant by a name that is none
   */
  JobFile(Path file, List<OptionGroup> groups, Function<String, Optional<String>> nearest) {
    this.file = file;
    this.nearest = nearest;
    for (OptionGroup group : groups) {
      group.options().forEach(option -> options.put(option.name(), option));
    }
    options.remove("config");
  }

  /** Reads and checks the file. */
  Values read() {
    Map<String, List<String>> values = new LinkedHashMap<>();
    for (Map.Entry<String, JsonNode> entry : parse().properties()) {
      String name = CommandOption.kebabCase(entry.getKey());
      CommandOption option = options.get(name);
      if (option == null) {
        throw MoontideException.configuration(
            "%s: unknown option %s%s",
            file,
            entry.getKey(),
            nearest
                .apply("--" + name)
                .map(found -> ": did you mean " + found.substring(2) + "?")
                .orElse(""));
      }
      if (values.containsKey(name)) {
        throw MoontideException.configuration("%s: %s stands twice", file, name);
      }
      values.put(name, values(option, entry.getValue()));
    }
    return new Values(values);
  }

  private JsonNode parse() {
    try {
      try (YAMLParser parser = YAML.getFactory().createParser(Files.readString(file))) {
        JsonNode root = parser.nextToken() == null ? NullNode.instance : tree(parser);
        if (root.isObject()) {
          return root;
        }
      }
    } catch (NoSuchFileException missing) {
      throw Values.invalid("config", file.toString(), "a YAML file that exists");
    } catch (JsonProcessingException malformed) {
      throw MoontideException.configuration("%s: %s", file, Failures.message(malformed));
    } catch (IOException unreadable) {
      throw MoontideException.configuration("%s cannot be read: %s", file, unreadable);
    }
    throw MoontideException.configuration(
        "%s: expected lines of option: value, as in  model: path/to/checkpoint", file);
  }

  /**
   * What begins with the parser's token, its scalars as they are written: a label {@code 007} is no
   * number 7.
   */
  private JsonNode tree(YAMLParser parser) throws IOException {
    switch (parser.currentToken()) {
      case START_OBJECT -> {
        ObjectNode map = YAML.createObjectNode();
        for (String name = parser.nextFieldName(); name != null; name = parser.nextFieldName()) {
          parser.nextToken();
          map.set(name, tree(parser));
        }
        return map;
      }
      case START_ARRAY -> {
        ArrayNode list = YAML.createArrayNode();
        while (parser.nextToken() != JsonToken.END_ARRAY) {
          list.add(tree(parser));
        }
        return list;
      }
      case VALUE_NULL -> {
        return NullNode.instance;
      }
      default -> {
        if (parser.isCurrentAlias()) {
          throw MoontideException.configuration(
              "%s: *%s is an alias, which is not read here: write out what it stands for",
              file, parser.getText());
        }
        return TextNode.valueOf(parser.getText());
      }
    }
  }

  private List<String> values(CommandOption option, JsonNode node) {
    return switch (option.takes()) {
      case NOTHING -> List.of(flag(option, node));
      case ONE -> List.of(text(option, node, "one value"));
      case LIST ->
          List.of(
              node.isArray()
                  ? JsonStrings.of(texts(option, node))
                  : text(option, node, "one value or a list"));
      case PAIRS -> List.of(String.join(",", texts(option, node)));
      case ONE_OR_MORE, EACH -> texts(option, node);
    };
  }

  private String flag(CommandOption option, JsonNode node) {
    String text = node.asText().toLowerCase(Locale.ROOT);
    if (!text.equals(Values.ON) && !text.equals(Values.OFF)) {
      throw invalid(option, node, "true or false");
    }
    return text;
  }

  private String text(CommandOption option, JsonNode node, String allowed) {
    if (!node.isTextual()) {
      throw invalid(
          option, node, node.isNull() ? allowed + "; a text \"null\" is quoted" : allowed);
    }
    return node.asText();
  }

  /** Of a list, or a map for {@code K=V}, or one value alone. */
  private List<String> texts(CommandOption option, JsonNode node) {
    List<String> texts = new ArrayList<>();
    if (node.isObject()) {
      for (Map.Entry<String, JsonNode> pair : node.properties()) {
        texts.add(pair.getKey() + "=" + text(option, pair.getValue(), "a map to values"));
      }
    } else if (node.isArray()) {
      for (JsonNode element : node) {
        texts.add(text(option, element, "a list of values"));
      }
    } else {
      texts.add(text(option, node, "one value or several"));
    }
    return texts;
  }

  private MoontideException invalid(CommandOption option, JsonNode node, String allowed) {
    return MoontideException.configuration(
        "%s: %s is %s: allowed is %s", file, option.name(), node, allowed);
  }
}
