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

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectWriter;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.SerializationFeature;
import dev.moontide.api.EngineOptions;
import dev.moontide.engine.MemoryPlan;
import dev.moontide.model.Inspection;
import dev.moontide.model.InspectionText;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** Tells what a checkpoint is and everything that is wrong with it. */
final class InspectCommand implements Command {
  private static final ObjectWriter JSON =
      new ObjectMapper()
          .setPropertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
          .enable(SerializationFeature.ORDER_MAP_ENTRIES_BY_KEYS)
          .writerWithDefaultPrettyPrinter();

  @Override
  public String name() {
    return "inspect";
  }

  @Override
  public String description() {
    return "Checks a checkpoint and tells everything that is wrong with it. Exit status 1 if"
        + " anything is.";
  }

  @Override
  public List<OptionGroup> options() {
    return List.of(
        new OptionGroup(
            "Checkpoint",
            List.of(
                CommandOption.one("model", "DIR", "The checkpoint's folder."),
                CommandOption.one(
                    "backend",
                    "cpu|cuda",
                    "cuda: print how the model divides the memory of this machine's GPU too."))),
        new OptionGroup(
            "Output", List.of(CommandOption.one("json", "FILE", "Write the report as JSON too."))),
        OptionGroup.COMMON);
  }

  @Override
  public List<String> examples() {
    return List.of(
        "moontide inspect --model examples/models/tiny-k2-instruct",
        "moontide inspect --model /models/Kimi-K2-Instruct --json report.json");
  }

  @Override
  public int run(Values values, Console console) {
    Path folder = Path.of(values.required("model", "path/to/checkpoint"));
    if (!Files.isDirectory(folder)) {
      throw Values.invalid("model", folder.toString(), "a folder that exists");
    }
    String backend = values.one("backend").orElse("cpu");
    if (!backend.equals("cpu") && !backend.equals("cuda")) {
      throw Values.invalid("backend", backend, "cpu or cuda");
    }
    Inspection inspection = Inspection.of(folder);
    values.one("json").ifPresent(file -> write(Path.of(file), inspection));
    InspectionText.lines(inspection).forEach(console.out()::println);
    if (backend.equals("cuda") && inspection.passed()) {
      EngineOptions engine = EngineOptions.of(folder).withBackend(EngineOptions.Backend.CUDA);
      MemoryPlan.report(engine).forEach(line -> console.out().println("gpu           " + line));
    }
    console.out().flush();
    return inspection.passed() ? 0 : 1;
  }

  /** Writes {@code report} as JSON. */
  static void write(Path file, Object report) {
    try {
      JSON.writeValue(file.toFile(), report);
    } catch (IOException failed) {
      throw new UncheckedIOException(failed);
    }
  }
}
