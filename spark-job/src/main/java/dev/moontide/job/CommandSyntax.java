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

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import picocli.CommandLine;
import picocli.CommandLine.Model.ArgGroupSpec;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;
import picocli.CommandLine.Model.UsageMessageSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;
import picocli.CommandLine.UnmatchedArgumentException;

/**
 * Commands in picocli's terms. Options are declared by name and read back as strings: what they
 * mean is decided in one place, for the command line, job files and SQL alike.
 */
final class CommandSyntax {
  private CommandSyntax() {}

  /** A parser of {@code moontide COMMAND [options]}. */
  static CommandLine of(List<Command> commands) {
    CommandSpec root = CommandSpec.create().name("moontide").versionProvider(new Version());
    root.usageMessage()
        .description("Offline inference of Kimi-K2-class models on Apache Spark.")
        .synopsisSubcommandLabel("COMMAND")
        .commandListHeading("%nCommands:%n")
        .footer("", "moontide COMMAND --help shows a command's options and examples.");
    root.mixinStandardHelpOptions(true);
    commands.forEach(command -> root.addSubcommand(command.name(), spec(command)));
    return new CommandLine(root);
  }

  private static CommandSpec spec(Command command) {
    CommandSpec spec = CommandSpec.create().versionProvider(new Version());
    UsageMessageSpec usage =
        spec.usageMessage()
            .description(command.description())
            .abbreviateSynopsis(true)
            .sortOptions(false)
            .width(100);
    List<String> footer = new ArrayList<>();
    if (!command.notes().isEmpty()) {
      footer.add("");
      footer.addAll(command.notes());
    }
    footer.addAll(List.of("", "Examples:"));
    command.examples().forEach(example -> footer.add("  " + example));
    usage.footer(footer.toArray(String[]::new));
    spec.mixinStandardHelpOptions(true);
    int order = 0;
    for (OptionGroup group : command.options()) {
      ArgGroupSpec.Builder builder =
          ArgGroupSpec.builder()
              .heading("%n" + group.heading() + ":%n")
              .order(order++)
              .validate(false)
              .multiplicity("0..1");
      group.options().forEach(option -> builder.addArg(spec(option)));
      spec.addArgGroup(builder.build());
    }
    command
        .operand()
        .ifPresent(
            operand ->
                spec.addPositional(
                    PositionalParamSpec.builder()
                        .index("0")
                        .arity("0..1")
                        .type(String.class)
                        .paramLabel(operand.parameter())
                        .description(operand.description())
                        .userObject(operand)
                        .build()));
    return spec;
  }

  private static OptionSpec spec(CommandOption option) {
    OptionSpec.Builder builder =
        OptionSpec.builder("--" + option.name()).description(option.description());
    return switch (option.takes()) {
      case NOTHING -> builder.arity("0").type(boolean.class).negatable(true).build();
      case ONE, LIST, PAIRS ->
          builder.arity("1").type(String.class).paramLabel(option.parameter()).build();
      case EACH ->
          builder
              .arity("1")
              .type(List.class)
              .auxiliaryTypes(String.class)
              .paramLabel(option.parameter())
              .build();
      case ONE_OR_MORE ->
          builder
              .arity("1..*")
              .type(List.class)
              .auxiliaryTypes(String.class)
              .paramLabel(option.parameter())
              .build();
    };
  }

  /**
   * What was typed, by option name.
   *
   * @throws ParameterException for what picocli takes for a value and no one means as such
   */
  static Values values(ParseResult parsed) {
    CommandLine line = parsed.commandSpec().commandLine();
    Map<String, List<String>> values = new LinkedHashMap<>();
    for (OptionSpec option : parsed.matchedOptions()) {
      List<String> typed =
          option.arity().max() == 0
              ? List.of(Boolean.toString(option.<Boolean>getValue()))
              : option.originalStringValues();
      if (option.arity().max() == 1 && !option.isMultiValue() && typed.size() > 1) {
        throw new ParameterException(
            line, option.longestName() + " is given twice: " + String.join(" and ", typed));
      }
      if (option.arity().isVariable()) {
        rejectOptions(line, typed);
      }
      values.put(option.longestName().substring(2), typed);
    }
    for (PositionalParamSpec operand : parsed.matchedPositionals()) {
      String name = operand.userObject() instanceof CommandOption option ? option.name() : "";
      if (values.containsKey(name)) {
        throw new ParameterException(line, "--" + name + " is given twice");
      }
      values.put(name, operand.originalStringValues());
    }
    return new Values(values);
  }

  /** A misspelt option after one of several values would silently be one more of these. */
  private static void rejectOptions(CommandLine line, List<String> values) {
    for (String value : values) {
      if (value.matches("--[a-z][a-z-]*")) {
        throw new ParameterException(
            line,
            "Unknown option: '%s'%s"
                .formatted(
                    value,
                    nearest(line, value).map(found -> ": did you mean " + found + "?").orElse("")));
      }
    }
  }

  /** The option most like {@code name}, which is none, as picocli finds it. */
  static Optional<String> nearest(CommandLine line, String name) {
    try {
      line.parseArgs(name);
      return Optional.empty();
    } catch (UnmatchedArgumentException unknown) {
      return unknown.getSuggestions().stream().findFirst();
    }
  }

  /** One line for a command line that does not parse, with the nearest option if one is meant. */
  static String message(ParameterException problem) {
    if (!(problem instanceof UnmatchedArgumentException unmatched)) {
      return Failures.message(problem);
    }
    CommandLine line = problem.getCommandLine();
    String argument = unmatched.getUnmatched().get(0);
    if (line.getParent() == null && !argument.startsWith("-")) {
      return "there is no command %s: the commands are %s"
          .formatted(argument, String.join(", ", line.getSubcommands().keySet()));
    }
    String message = Failures.message(problem);
    return unmatched.getSuggestions().isEmpty()
        ? message
        : message + ": did you mean " + unmatched.getSuggestions().get(0) + "?";
  }
}
