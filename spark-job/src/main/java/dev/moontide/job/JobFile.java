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
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLParser;
import dev.moontide.api.MoontideException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;

/**
 * A job file: a YAML map of a command's options, in camelCase or kebab-case. Lists stand for
 * options of several values, {@code true} for flags, maps for options of {@code K=V}.
 */
final class JobFile {
  private static final YAMLMapper YAML =
      YAMLMapper.builder()
          .enable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION)
          // A label "no" is a label.
          .enable(YAMLParser.Feature.PARSE_BOOLEAN_LIKE_WORDS_AS_STRINGS)
          .build();

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
      values(option, entry.getValue()).ifPresent(found -> values.put(name, found));
    }
    return new Values(values);
  }

  private JsonNode parse() {
    try {
      JsonNode root = YAML.readTree(Files.readString(file));
      if (root.isObject()) {
        return root;
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

  private Optional<List<String>> values(CommandOption option, JsonNode node) {
    return switch (option.takes()) {
      case NOTHING -> flag(option, node);
      case ONE -> Optional.of(List.of(text(option, node)));
      case ONE_OR_MORE, EACH -> Optional.of(texts(option, node));
    };
  }

  private Optional<List<String>> flag(CommandOption option, JsonNode node) {
    if (!node.isBoolean()) {
      throw invalid(option, node, "true or false");
    }
    return node.booleanValue() ? Optional.of(List.of()) : Optional.empty();
  }

  /** An option whose one value is itself a list takes a list too. */
  private String text(CommandOption option, JsonNode node) {
    if (node.isArray() && option.parameter().contains(",")) {
      return YAML.valueToTree(scalars(option, node)).toString();
    }
    if (!node.isValueNode() || node.isNull()) {
      throw invalid(option, node, "one value");
    }
    return node.asText();
  }

  private List<String> texts(CommandOption option, JsonNode node) {
    if (node.isObject()) {
      return node.properties().stream()
          .map(pair -> pair.getKey() + "=" + pair.getValue().asText())
          .toList();
    }
    return node.isArray() ? scalars(option, node) : List.of(node.asText());
  }

  private List<String> scalars(CommandOption option, JsonNode array) {
    List<String> scalars = new ArrayList<>();
    for (JsonNode element : array) {
      if (!element.isValueNode() || element.isNull()) {
        throw invalid(option, element, "a list of values");
      }
      scalars.add(element.asText());
    }
    return scalars;
  }

  private MoontideException invalid(CommandOption option, JsonNode node, String allowed) {
    return MoontideException.configuration(
        "%s: %s is %s: allowed is %s", file, option.name(), node, allowed);
  }
}
