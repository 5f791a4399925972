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
package dev.moontide.spark;

import dev.moontide.api.EngineOptions;
import dev.moontide.api.MoontideException;
import dev.moontide.api.SamplingParameters;
import dev.moontide.api.TokenRanges;
import dev.moontide.spark.JobOptions.Task;
import dev.moontide.spark.PromptOptions.LongPrompt;
import dev.moontide.spark.PromptOptions.Mode;
import dev.moontide.spark.PromptOptions.Source;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** The one place where strings become {@link JobOptions}. */
final class OptionReader {
  /**
   * The options an executor's engine is loaded with, and those that say which executors have it.
   */
  static final List<String> EXECUTOR_NAMES =
      List.of(
          "model",
          "model-cache",
          "backend",
          "dtype",
          "max-batch-tokens",
          "max-sequences",
          "kv-cache-memory",
          "max-model-len",
          "threads",
          "prefix-cache",
          "engine-resources");

  private static final List<String> OTHER_NAMES =
      List.of(
          "task",
          "prompt",
          "text-column",
          "messages-column",
          "ids-column",
          "system",
          "chat",
          "raw",
          "on-long-prompt",
          "continuation-column",
          "max-tokens",
          "temperature",
          "top-p",
          "top-k",
          "min-p",
          "presence-penalty",
          "frequency-penalty",
          "repetition-penalty",
          "stop",
          "stop-token-ids",
          "allowed-token-ids",
          "seed",
          "ignore-eos",
          "labels",
          "labels-file",
          "choices",
          "choices-file",
          "choices-column",
          "probability-tolerance",
          "id-column",
          "truth-column",
          "output-prefix");

  static final List<String> NAMES =
      Stream.of(EXECUTOR_NAMES, OTHER_NAMES).flatMap(List::stream).toList();

  private final OptionMap options;

  private OptionReader(OptionMap options) {
    this.options = options;
  }

  static JobOptions read(Map<String, String> options) {
    return new OptionReader(new OptionMap(options, NAMES)).jobOptions();
  }

  /** The model's options among all. */
  static ModelOptions readModel(Map<String, String> options) {
    return new OptionReader(new OptionMap(options, NAMES)).model();
  }

  private JobOptions jobOptions() {
    Task task = options.choice("task", Task.class, Task.GENERATE);
    return new JobOptions(
        task, model(), prompt(task), sampling(), choices(), output(), resources());
  }

  private ModelOptions model() {
    String location = options.string("model");
    if (location == null) {
      throw MoontideException.configuration("model is not given: name a checkpoint's folder");
    }
    EngineOptions defaults = EngineOptions.of(Path.of(""));
    return new ModelOptions(
        location,
        options.choice("backend", EngineOptions.Backend.class, defaults.backend()),
        options.choice("dtype", EngineOptions.Precision.class, defaults.precision()),
        options.integer("max-batch-tokens", defaults.maxBatchTokens()),
        options.integer("max-sequences", defaults.maxSequences()),
        options.bytes("kv-cache-memory", defaults.kvCacheBytes()),
        options.integer("max-model-len", defaults.maxModelLength()),
        options.integer("threads", defaults.threads()),
        options.flag("prefix-cache", defaults.prefixCache()),
        options.string("model-cache"));
  }

  private PromptOptions prompt(Task task) {
    if (options.flag("chat", false) && options.flag("raw", false)) {
      throw MoontideException.configuration("chat and raw are both given: leave one out");
    }
    Mode mode =
        options.flag("chat", false) ? Mode.CHAT : options.flag("raw", false) ? Mode.RAW : Mode.AUTO;
    return new PromptOptions(
        source(task),
        options.string("system"),
        mode,
        options.choice("on-long-prompt", LongPrompt.class, LongPrompt.ERROR),
        options.string("continuation-column"));
  }

  private Source source(Task task) {
    String given = onlyOneOf(ExclusiveOptions.PROMPT_SOURCES);
    if (given == null && task == Task.GENERATE) {
      throw MoontideException.configuration(
          "prompt is not given: name what each row asks by one of %s",
          String.join(", ", ExclusiveOptions.PROMPT_SOURCES));
    }
    if (given == null) {
      return new Source.Text("text");
    }
    String value = options.string(given, "");
    return switch (given) {
      case "prompt" -> new Source.Template(value);
      case "messages-column" -> new Source.Messages(value);
      case "ids-column" -> new Source.Ids(value);
      default -> new Source.Text(value);
    };
  }

  private @Nullable ChoiceOptions choices() {
    String given = onlyOneOf(ExclusiveOptions.CHOICES);
    if (given == null) {
      return null;
    }
    ChoiceOptions.Source source =
        switch (given) {
          case "choices-column" -> new ChoiceOptions.Source.Column(options.string(given, ""));
          case "labels", "choices" -> new ChoiceOptions.Source.Fixed(options.list(given));
          default ->
              new ChoiceOptions.Source.Fixed(LabelFile.read(given, options.string(given, "")));
        };
    return new ChoiceOptions(source, options.number("probability-tolerance", 0));
  }

  private @Nullable String onlyOneOf(List<String> names) {
    List<String> given = names.stream().filter(options::has).toList();
    if (given.size() > 1) {
      throw MoontideException.configuration(
          "%s are all given: keep one", String.join(" and ", given));
    }
    return given.isEmpty() ? null : given.get(0);
  }

  private SamplingParameters sampling() {
    SamplingParameters defaults = SamplingParameters.builder().build();
    return new SamplingParameters(
        options.integer("max-tokens", defaults.maxTokens()),
        options.number("temperature", defaults.temperature()),
        options.integer("top-k", defaults.topK()),
        options.number("top-p", defaults.topP()),
        options.number("min-p", defaults.minP()),
        options.number("presence-penalty", defaults.presencePenalty()),
        options.number("frequency-penalty", defaults.frequencyPenalty()),
        options.number("repetition-penalty", defaults.repetitionPenalty()),
        options.strings("stop"),
        options.integers("stop-token-ids"),
        options.has("allowed-token-ids")
            ? TokenRanges.parse("allowed-token-ids", options.list("allowed-token-ids"))
            : null,
        options.bigInteger("seed", defaults.seed()),
        options.flag("ignore-eos", defaults.ignoreEos()));
  }

  private @Nullable EngineResources resources() {
    String given = options.string("engine-resources");
    return given == null ? null : EngineResources.parse(given);
  }

  private OutputOptions output() {
    return new OutputOptions(
        options.string("output-prefix", ""),
        options.string("id-column"),
        options.string("truth-column"));
  }
}
