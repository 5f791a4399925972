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

import dev.moontide.api.MoontideException;
import dev.moontide.spark.JobOptions;
import dev.moontide.spark.JsonStrings;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/** A command that computes every row of a dataset. */
final class JobCommand implements Command {
  private final String name;
  private final String description;
  private final List<OptionGroup> options;
  private final List<String> examples;

  private JobCommand(
      String name, String description, List<OptionGroup> special, List<String> examples) {
    this.name = name;
    this.description = description;
    this.options =
        Stream.of(
                List.of(OptionGroup.MODEL, OptionGroup.INPUT, OptionGroup.PROMPT),
                special,
                List.of(OptionGroup.OUTPUT, OptionGroup.ENGINE, OptionGroup.COMMON))
            .flatMap(List::stream)
            .toList();
    this.examples = List.copyOf(examples);
  }

  static JobCommand label() {
    return new JobCommand(
        "label",
        "Gives every row one of a closed set of labels, with its probability.",
        List.of(OptionGroup.LABELS),
        List.of(
            "moontide label --config examples/label-intents.yaml",
            "moontide label --model /models/Kimi-K2-Instruct --input tickets.parquet \\",
            "    --text-column body --labels billing,bug,feature,other \\",
            "    --system 'Label the ticket.' --output labelled.parquet"));
  }

  static JobCommand generate() {
    return new JobCommand(
        "generate",
        "Writes a response for every row, from a prompt over its columns.",
        List.of(OptionGroup.CHOICES, OptionGroup.SAMPLING),
        List.of(
            "moontide generate --config examples/write-requests.yaml",
            "moontide generate --model /models/Kimi-K2-Instruct --input articles.jsonl \\",
            "    --prompt 'Summarise in one sentence: {{ text }}' --max-tokens 80 \\",
            "    --output summaries.parquet"));
  }

  static JobCommand score() {
    return new JobCommand(
        "score",
        "Gives the log-probability of every row's text or token ids under the model.",
        List.of(OptionGroup.SCORES),
        List.of(
            "moontide score --model /models/Kimi-K2-Base --input texts.csv \\",
            "    --text-column text --output scored.parquet",
            "moontide score --model /models/Kimi-K2-Base --input questions.parquet \\",
            "    --prompt '{{ question }}' --continuation-column answer --output scored.parquet",
            "moontide score --model /models/Kimi-K2-Base --input tokens.parquet \\",
            "    --ids-column ids --output scored.parquet"));
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public String description() {
    return description;
  }

  @Override
  public List<OptionGroup> options() {
    return options;
  }

  @Override
  public List<String> examples() {
    return examples;
  }

  @Override
  public int run(Values values, Console console) {
    checkSampling(values);
    Map<String, String> given = new LinkedHashMap<>();
    given.putAll(Session.options(jobOptions(options, values)));
    given.put("task", name);
    JobOptions parsed = JobOptions.fromMap(given);
    InputOptions input = InputOptions.of(values);
    OutputTarget output = OutputTarget.of(values);
    Optional<ErrorLimit> limit = values.one("max-errors").map(ErrorLimit::parse);
    Phases phases = new Phases();
    try (Session session = phases.time("start", () -> Session.of(name, given))) {
      Job job = new Job(session.spark(), name, Lineage.of(parsed.model(), given, input));
      Optional<Console> progress = values.isOn("quiet") ? Optional.empty() : Optional.of(console);
      Summary summary =
          job.run(
              results ->
                  new TransformComputation(
                      session.spark(), parsed, input, output.preserveOrder(), results),
              input.paths(),
              output,
              limit,
              phases,
              progress);
      console.out().print(summary.text());
      console.out().flush();
    }
    return 0;
  }

  /** A choice is the most probable one: nothing of how tokens are drawn bears on it. */
  private void checkSampling(Values values) {
    List<String> choices = OptionGroup.CHOICES.given(values);
    List<String> unused = OptionGroup.SAMPLING.given(values);
    if (options.contains(OptionGroup.SAMPLING) && !choices.isEmpty() && !unused.isEmpty()) {
      throw MoontideException.configuration(
          "%s given with %s: a choice is the most probable one and is not sampled; leave out one"
              + " or the other",
          String.join(", ", unused) + (unused.size() > 1 ? " are" : " is"), choices.get(0));
    }
  }

  /** The options of the transform among all, as {@link JobOptions#fromMap} reads them. */
  static Map<String, String> jobOptions(List<OptionGroup> options, Values values) {
    Map<String, String> given = new LinkedHashMap<>();
    for (OptionGroup group : options) {
      for (CommandOption option : group.options()) {
        if (values.has(option.name()) && JobOptions.names().contains(option.name())) {
          given.put(option.name(), text(option, values));
        }
      }
    }
    return given;
  }

  private static String text(CommandOption option, Values values) {
    return switch (option.takes()) {
      case NOTHING, ONE, LIST, PAIRS -> values.one(option.name()).orElse("");
      case ONE_OR_MORE, EACH -> JsonStrings.of(values.all(option.name()));
    };
  }
}
