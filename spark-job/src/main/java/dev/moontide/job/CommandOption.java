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

import java.util.Locale;

/**
 * An option of a command, as typed and as it stands in a job file.
 *
 * @param name in kebab case, without dashes
 * @param takes how many values it takes
 * @param parameter what a value is called in the help; empty for a flag
 * @param description for the help; where there is a default, it says so
 */
record CommandOption(String name, Takes takes, String parameter, String description) {
  /** How many values an option takes. */
  enum Takes {
    NOTHING,
    ONE,
    /** One that is a list: parted by commas, or a JSON array. */
    LIST,
    /** One of several {@code K=V}, parted by commas. */
    PAIRS,
    ONE_OR_MORE,
    /** One, each time it is given. */
    EACH
  }

  static CommandOption flag(String name, String description) {
    return new CommandOption(name, Takes.NOTHING, "", description);
  }

  static CommandOption one(String name, String parameter, String description) {
    return new CommandOption(name, Takes.ONE, parameter, description);
  }

  static CommandOption list(String name, String parameter, String description) {
    return new CommandOption(name, Takes.LIST, parameter, description);
  }

  static CommandOption pairs(String name, String parameter, String description) {
    return new CommandOption(name, Takes.PAIRS, parameter, description);
  }

  static CommandOption many(String name, String parameter, String description) {
    return new CommandOption(name, Takes.ONE_OR_MORE, parameter, description);
  }

  static CommandOption each(String name, String parameter, String description) {
    return new CommandOption(name, Takes.EACH, parameter, description);
  }

  /** Turns {@code maxTokens} into {@code max-tokens}; leaves kebab case as it is. */
  static String kebabCase(String name) {
    return name.replaceAll("(?<=[a-z0-9])(?=[A-Z])", "-").toLowerCase(Locale.ROOT);
  }
}
