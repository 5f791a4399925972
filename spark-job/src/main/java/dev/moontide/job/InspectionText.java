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

import dev.moontide.model.Inspection;
import java.util.Locale;
import java.util.TreeMap;

/** A checkpoint's inspection for people. */
final class InspectionText {
  private final StringBuilder text = new StringBuilder();

  private InspectionText() {}

  static String of(Inspection inspection) {
    InspectionText report = new InspectionText();
    report.line("checkpoint", "%s", inspection.folder());
    Inspection.Model model = inspection.model();
    if (model != null) {
      report.model(model);
    }
    report.line("tensors", "%,d", inspection.tensors());
    new TreeMap<>(inspection.storedBytes())
        .forEach((type, bytes) -> report.line("  " + type, "%s", size(bytes)));
    if (model != null) {
      report.memory(model);
    }
    if (inspection.passed()) {
      report.line("problems", "none");
    } else {
      report.line("problems", "%,d", inspection.problems().size());
      inspection
          .problems()
          .forEach(problem -> report.text.append("  ").append(problem).append('\n'));
    }
    return report.text.toString();
  }

  private void model(Inspection.Model model) {
    line("model type", "%s", model.modelType());
    line(
        "layers",
        "%d, %d of them with experts: %d of %d a token and %d shared",
        model.layers(),
        model.moeLayers(),
        model.expertsPerToken(),
        model.routedExperts(),
        model.sharedExperts());
    line("hidden size", "%,d, %d attention heads", model.hiddenSize(), model.heads());
    line("vocabulary", "%,d", model.vocabularySize());
    line("positions", "%,d", model.maxPositions());
    line("weights", "%s", model.quantization());
    line(
        "parameters",
        "%s, %s of them active in a token",
        count(model.totalParameters()),
        count(model.activeParameters()));
  }

  private void memory(Inspection.Model model) {
    for (Inspection.Memory memory : model.memory()) {
      line(
          "memory, " + memory.type().name().toLowerCase(Locale.ROOT),
          "%s of weights, and %s of cache a thousand tokens",
          size(memory.weightBytes()),
          size(1000 * memory.cacheBytesPerToken()));
    }
  }

  private void line(String name, String format, Object... values) {
    text.append(String.format(Locale.ROOT, "%-14s", name))
        .append(String.format(Locale.ROOT, format, values))
        .append('\n');
  }

  private static String count(long number) {
    return scaled(number, new String[] {"", " thousand", " million", " billion", " trillion"});
  }

  private static String size(long bytes) {
    return scaled(bytes, new String[] {" B", " kB", " MB", " GB", " TB"});
  }

  private static String scaled(double value, String[] units) {
    int unit = 0;
    double scaled = value;
    while (scaled >= 1000 && unit < units.length - 1) {
      scaled /= 1000;
      unit++;
    }
    return String.format(Locale.ROOT, unit == 0 ? "%.0f%s" : "%.2f%s", scaled, units[unit]);
  }
}
