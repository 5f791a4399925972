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

import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import picocli.CommandLine;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;

/**
 * {@code moontide COMMAND [options]}.
 *
 * <p>Exit status: 0 done; 1 the job failed; 2 bad options or configuration, told in one line.
 */
public final class Main {
  private static final List<Command> COMMANDS =
      List.of(
          JobCommand.label(),
          JobCommand.generate(),
          JobCommand.score(),
          new SqlCommand(),
          new InspectCommand(),
          new BenchCommand());

  private Main() {}

  /** Runs one command and, unless it succeeds, exits with its status. */
  public static void main(String[] arguments) {
    Console console =
        new Console(
            new PrintWriter(System.out, true, StandardCharsets.UTF_8),
            new PrintWriter(System.err, true, StandardCharsets.UTF_8));
    int status = run(console, arguments);
    // Spark's cluster managers take an exit of a driver that is done for a failure.
    if (status != 0) {
      System.exit(status);
    }
  }

  /** Runs one command and returns its exit status. */
  static int run(Console console, String... arguments) {
    CommandLine line = CommandSyntax.of(COMMANDS).setOut(console.out()).setErr(console.err());
    try {
      ParseResult parsed = line.parseArgs(arguments);
      if (CommandLine.executeHelpRequest(parsed) != null) {
        return 0;
      }
      if (!parsed.hasSubcommand()) {
        line.usage(console.err());
        return 2;
      }
      ParseResult subcommand = parsed.subcommand();
      Command command =
          COMMANDS.stream()
              .filter(known -> known.name().equals(subcommand.commandSpec().name()))
              .findFirst()
              .orElseThrow();
      return run(command, subcommand, console);
    } catch (ParameterException invalid) {
      String name = invalid.getCommandLine().getCommandSpec().qualifiedName();
      console.err().println(name + ": " + CommandSyntax.message(invalid));
      return 2;
    }
  }

  private static int run(Command command, ParseResult parsed, Console console) {
    Values typed = CommandSyntax.values(parsed);
    try {
      CommandLine line = parsed.commandSpec().commandLine();
      Values values =
          typed
              .one("config")
              .map(
                  file ->
                      new JobFile(
                          Path.of(file),
                          command.options(),
                          name -> CommandSyntax.nearest(line, name)))
              .map(file -> typed.orElse(file.read(), command.exclusive()))
              .orElse(typed);
      return command.run(values, console);
    } catch (Exception failure) {
      return report(command, typed, failure, console);
    }
  }

  private static int report(Command command, Values typed, Exception failure, Console console) {
    console.err().println("moontide " + command.name() + ": " + Failures.message(failure));
    if (Failures.isConfiguration(failure)) {
      return 2;
    }
    if (typed.isOn("verbose")) {
      failure.printStackTrace(console.err());
    }
    return 1;
  }
}
