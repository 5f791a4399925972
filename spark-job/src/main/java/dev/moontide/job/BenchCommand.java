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

import static dev.moontide.job.CommandOption.list;
import static dev.moontide.job.CommandOption.one;
import static dev.moontide.job.CommandOption.pairs;

import dev.moontide.api.EngineOptions;
import dev.moontide.api.MoontideException;
import dev.moontide.job.bench.BenchReport;
import dev.moontide.job.bench.BenchShape;
import dev.moontide.job.bench.Benchmark;
import dev.moontide.job.bench.RandomCheckpoint;
import dev.moontide.spark.ExclusiveOptions;
import dev.moontide.spark.JobOptions;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Measures the engine on this machine, on a given checkpoint or a random one. */
final class BenchCommand implements Command {
  private static final OptionGroup BENCH =
      new OptionGroup(
          "Bench",
          List.of(
              pairs("shape", "K=V,…", "Config keys of the random model. Default: " + defaults()),
              one("save-model", "DIR", "Writes the random model there and keeps it."),
              one("prompts", "N", "Prompts of the whole set. Default: 64."),
              one("prompt-tokens", "N", "Tokens of each prompt. Default: 128."),
              one("new-tokens", "N", "Tokens each sequence decodes. Default: 64."),
              list(
                  "sequences",
                  "N,N",
                  "Numbers of sequences to decode together. Default: 1,8,32,64."),
              one("json", "FILE", "Writes the report as JSON, too.")));

  /** This machine is the only executor. */
  private static final OptionGroup ENGINE = OptionGroup.ENGINE.without("engine-resources");

  private static String defaults() {
    return BenchShape.defaults().entrySet().stream()
            .map(entry -> entry.getKey() + "=" + entry.getValue())
            .collect(Collectors.joining(","))
        + ".";
  }

  @Override
  public String name() {
    return "bench";
  }

  @Override
  public String description() {
    return "Measures the engine on this machine, as ratios to its matrix-product rate.";
  }

  @Override
  public List<OptionGroup> options() {
    return List.of(OptionGroup.MODEL, BENCH, ENGINE, OptionGroup.COMMON);
  }

  /** A given checkpoint has its own shape. */
  @Override
  public ExclusiveOptions exclusive() {
    return new ExclusiveOptions(List.of(Set.of("model", "shape"), Set.of("model", "save-model")));
  }

  @Override
  public List<String> notes() {
    return List.of(
        "What it reports:",
        "  load            bytes of the checkpoint read, over the time to load it",
        "  matmul 1024³    products of that size through the backend's library, all threads",
        "  prefill         tokens of the steps that hold prompt tokens, over those steps' time",
        "  decode, N       tokens of the steps without prompt tokens, over those steps' time",
        "  whole set       prompt and new tokens of all prompts, over the wall time",
        "  time in matmul  of the threads' time in the whole set",
        "  tokenizer       encoding English prose on one core; only with a tokenizer (--model)",
        "GFLOP/s are the model's own: two operations for each weight a token meets, and attention.",
        "Ratios are of those to the matmul rate.");
  }

  @Override
  public List<String> examples() {
    return List.of(
        "moontide bench",
        "moontide bench --shape hidden_size=512,num_hidden_layers=4 --sequences 1,16",
        "moontide bench --model /models/Kimi-K2-Instruct --json bench.json");
  }

  @Override
  public int run(Values values, Console console) {
    Benchmark benchmark =
        new Benchmark(
            values.positive("prompts").orElse(64),
            values.positive("prompt-tokens").orElse(128),
            values.positive("new-tokens").orElse(64),
            sequences(values));
    BenchShape shape = BenchShape.of(shape(values.one("shape").orElse("")));
    Optional<String> model = values.one("model");
    if (model.isPresent() && (values.has("shape") || values.has("save-model"))) {
      throw MoontideException.configuration(
          "--model and --%s: a given checkpoint has its own shape; leave out one of the two",
          values.has("shape") ? "shape" : "save-model");
    }
    if (model.isPresent() && !Files.isDirectory(Path.of(model.get()))) {
      throw Values.invalid("model", model.get(), "a folder that exists");
    }
    Optional<Path> temporary =
        model.isPresent() || values.has("save-model") ? Optional.empty() : Optional.of(newFolder());
    try {
      Path folder =
          temporary.orElseGet(
              () -> Path.of(model.orElseGet(() -> values.required("save-model", "DIR"))));
      if (model.isEmpty()) {
        progress(values, console, "writing a random model to " + folder);
        RandomCheckpoint.write(folder, shape);
      }
      BenchReport report =
          benchmark.run(engine(values, folder), line -> progress(values, console, line));
      console.out().print(report.text());
      console.out().flush();
      values.one("json").ifPresent(file -> InspectCommand.write(Path.of(file), report));
      return 0;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } finally {
      temporary.ifPresent(BenchCommand::delete);
    }
  }

  /** The engine's options as the jobs read them. */
  private static EngineOptions engine(Values values, Path folder) {
    Map<String, String> given = new LinkedHashMap<>();
    for (OptionGroup group : List.of(OptionGroup.MODEL, ENGINE)) {
      group.options().forEach(o -> values.one(o.name()).ifPresent(v -> given.put(o.name(), v)));
    }
    given.put("model", folder.toString());
    given.put("task", "generate");
    given.put("ids-column", "ids");
    return JobOptions.fromMap(given).model().engineOptions();
  }

  private static void progress(Values values, Console console, String line) {
    if (!values.isOn("quiet")) {
      console.err().println("moontide: " + line);
    }
  }

  private static List<Integer> sequences(Values values) {
    if (!values.has("sequences")) {
      return List.of(1, 8, 32, 64);
    }
    return values.list("sequences").stream()
        .map(
            text -> {
              if (!text.matches("[1-9][0-9]{0,5}")) {
                throw Values.invalid(
                    "sequences",
                    values.one("sequences").orElse(""),
                    "whole numbers of 1 or more, like 1,8,64");
              }
              return Integer.valueOf(text);
            })
        .toList();
  }

  private static Map<String, Long> shape(String text) {
    Map<String, Long> shape = new LinkedHashMap<>();
    for (String pair : text.isBlank() ? new String[0] : text.split(",", -1)) {
      if (!pair.strip().matches("[a-z_]+=[0-9]{1,12}")) {
        throw Values.invalid("shape", pair, "KEY=NUMBER, like hidden_size=512");
      }
      String[] parts = pair.strip().split("=", 2);
      shape.put(parts[0], Long.valueOf(parts[1]));
    }
    return shape;
  }

  private static Path newFolder() {
    try {
      Path folder = Files.createTempDirectory("moontide-bench");
      Runtime.getRuntime().addShutdownHook(new Thread(() -> delete(folder)));
      return folder;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void delete(Path folder) {
    if (!Files.exists(folder)) {
      return;
    }
    try (Stream<Path> files = Files.walk(folder)) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
        Files.deleteIfExists(file);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
