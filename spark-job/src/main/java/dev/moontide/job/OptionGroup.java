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

import static dev.moontide.job.CommandOption.flag;
import static dev.moontide.job.CommandOption.list;
import static dev.moontide.job.CommandOption.many;
import static dev.moontide.job.CommandOption.one;
import static dev.moontide.job.CommandOption.pairs;

import java.util.List;

/**
 * Options that belong together, under one heading of the help.
 *
 * @param heading in the help
 * @param options in the order of the help
 */
record OptionGroup(String heading, List<CommandOption> options) {
  static final OptionGroup MODEL =
      new OptionGroup(
          "Model",
          List.of(
              one("model", "DIR", "The checkpoint: a folder with config.json and safetensors."),
              one("backend", "auto|cpu|cuda", "Where to compute. Default: auto."),
              one("dtype", "auto|bf16|f32", "What to compute in. Default: auto.")));

  static final OptionGroup INPUT =
      new OptionGroup(
          "Input",
          List.of(
              many("input", "PATH", "Files, folders or globs, on any file system Spark reads."),
              one(
                  "input-format",
                  "FORMAT",
                  "jsonl, csv, parquet, text, orc or any Spark source. Default: by extension."),
              many("input-option", "K=V", "Options of Spark's reader, e.g. sep=;."),
              one("where", "SQL", "Only the rows that satisfy this condition."),
              one("limit", "N", "Only the first N rows."),
              one(
                  "id-column",
                  "COLUMN",
                  "What a row's random numbers depend on. Default: its prompt."),
              one("model-cache", "DIR", "Where each host copies a model of hdfs:, s3a: … to."),
              one(
                  "partitions",
                  "N",
                  "Spark partitions to compute in. Default: as read, at least one a core.")));

  static final OptionGroup OUTPUT =
      new OptionGroup(
          "Output",
          List.of(
              one("output", "PATH", "The folder to write, as Spark writes it."),
              one(
                  "output-format",
                  "FORMAT",
                  "parquet, jsonl or csv. Default: by extension, else parquet."),
              many("output-option", "K=V", "Options of Spark's writer, e.g. compression=gzip."),
              flag("overwrite", "Replace the output where it exists."),
              flag("no-resume", "Compute all rows, whatever results earlier runs finished."),
              flag("preserve-order", "Write the rows in the input's order."),
              one("max-errors", "N|P%", "End the job when more rows fail. Default: no limit."),
              one("output-prefix", "TEXT", "Put before the name of every column added.")));

  static final OptionGroup PROMPT =
      new OptionGroup(
          "Prompt",
          List.of(
              one("system", "TEXT", "The system message."),
              one("prompt", "TEMPLATE", "Jinja over the row's columns, e.g. '{{ text }}'."),
              one(
                  "text-column",
                  "COLUMN",
                  "A column whose text is the whole prompt. Default for label and score: text."),
              flag("chat", "Use the chat template. Default: where the checkpoint has one."),
              flag("raw", "No chat template: the model continues the prompt."),
              one("messages-column", "COLUMN", "OpenAI messages, in place of a prompt."),
              one("ids-column", "COLUMN", "Token ids, used as they are."),
              one(
                  "on-long-prompt",
                  "WHAT",
                  "error, truncate-left or truncate-right. Default: error.")));

  static final OptionGroup SCORES =
      new OptionGroup(
          "Scores",
          List.of(
              one(
                  "continuation-column",
                  "COLUMN",
                  "Score this text as what follows the prompt, not the prompt itself.")));

  static final OptionGroup LABELS =
      new OptionGroup(
          "Labels",
          List.of(
              list("labels", "A,B,C", "The labels; a JSON array where one has a comma."),
              one("labels-file", "FILE", "The labels, one a line."),
              list("choices", "A,B,C", "The same as --labels."),
              one("choices-file", "FILE", "The same as --labels-file."),
              one("choices-column", "COLUMN", "A row's own labels, an array of strings."),
              one(
                  "probability-tolerance",
                  "P",
                  "No label's probability is off by more: faster with many labels. Default: 0, exact."),
              one(
                  "truth-column",
                  "COLUMN",
                  "The right label: the report then says how many were hit.")));

  static final OptionGroup CHOICES =
      new OptionGroup(
          "Choices",
          List.of(
              list(
                  "choices",
                  "A,B,C",
                  "The response is one of these; a JSON array where one has a comma."),
              one("choices-file", "FILE", "The choices, one a line."),
              one("choices-column", "COLUMN", "A row's own choices, an array of strings.")));

  static final OptionGroup SAMPLING =
      new OptionGroup(
          "Sampling",
          List.of(
              one("max-tokens", "N", "Tokens a response has at most. Default: 256."),
              one("temperature", "T", "0 takes the most probable token. Default: 0."),
              one("top-p", "P", "Draw from the likeliest tokens that sum to P. Default: 1."),
              one("top-k", "K", "Draw from the K likeliest tokens; 0 from all. Default: 0."),
              one("min-p", "P", "Draw from tokens at least P times the likeliest. Default: 0."),
              one("presence-penalty", "X", "From -2 to 2. Default: 0."),
              one("frequency-penalty", "X", "From -2 to 2. Default: 0."),
              one("repetition-penalty", "X", "Above 0, at most 10. Default: 1."),
              many("stop", "TEXT", "Strings that end a response; they are not part of it."),
              list("stop-token-ids", "N,N", "Token ids that end a response."),
              list(
                  "allowed-token-ids",
                  "N,N-N",
                  "The only token ids a response may have, its end included. Default: all."),
              one("seed", "N", "A row's samples depend on this and its id alone. Default: 0."),
              flag("ignore-eos", "Go on past the model's end of turn.")));

  static final OptionGroup ENGINE =
      new OptionGroup(
          "Engine",
          List.of(
              one("max-batch-tokens", "N", "Tokens computed in one step. Default: 2048."),
              one("max-sequences", "N", "Rows in flight in a JVM. Default: 256."),
              one("kv-cache-memory", "SIZE", "E.g. 4g. Default: what the memory allows."),
              one("max-model-len", "N", "Prompt and output together. Default: the model's."),
              pairs(
                  "engine-resources",
                  "K=V,…",
                  "Executors that compute, e.g. gpu=1,cores=8. Default: the application's."),
              one("threads", "N", "Threads that compute. Default: the machine's processors."),
              one(
                  "prefix-cache",
                  "true|false",
                  "Whether equal beginnings of prompts are computed once. Default: true.")));

  static final OptionGroup COMMON =
      new OptionGroup(
          "General",
          List.of(
              one(
                  "config",
                  "FILE",
                  "A YAML file of these options. The command line wins over it, and it over Spark's"
                      + " spark.moontide.*."),
              flag("quiet", "No progress on stderr."),
              flag("verbose", "The stack trace of a failure, not only its message.")));

  OptionGroup {
    options = List.copyOf(options);
  }

  /** The same group with some of its options. */
  OptionGroup only(String... names) {
    List<String> kept = List.of(names);
    return new OptionGroup(
        heading, options.stream().filter(option -> kept.contains(option.name())).toList());
  }

  /** The same group but for one of its options. */
  OptionGroup without(String name) {
    return new OptionGroup(
        heading, options.stream().filter(option -> !option.name().equals(name)).toList());
  }

  /** Those of its options that are given, as typed. */
  List<String> given(Values values) {
    return options.stream()
        .filter(
            option ->
                option.takes() == CommandOption.Takes.NOTHING
                    ? values.isOn(option.name())
                    : values.has(option.name()))
        .map(option -> "--" + option.name())
        .toList();
  }
}
