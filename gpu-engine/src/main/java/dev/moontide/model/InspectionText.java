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
package dev.moontide.model;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/** An {@link Inspection} as lines for a person to read. */
public final class InspectionText {
  private static final String[] UNITS = {"B", "KiB", "MiB", "GiB", "TiB"};

  private InspectionText() {}

  /** The lines, without line ends. */
  public static List<String> lines(Inspection inspection) {
    List<String> lines = new ArrayList<>();
    lines.add(inspection.folder());
    Inspection.Model model = inspection.model();
    if (model != null) {
      add(lines, "architecture", architecture(model));
      add(lines, "parameters", parameters(model));
      add(lines, "stored as", model.quantization());
    }
    if (inspection.tensors() > 0) {
      add(lines, "files", files(inspection));
    }
    if (model != null) {
      for (Inspection.Memory memory : model.memory()) {
        add(
            lines,
            "in " + memory.type().name().toLowerCase(Locale.ROOT),
            "%s of weights, %s of cache per token"
                .formatted(bytes(memory.weightBytes()), bytes(memory.cacheBytesPerToken())));
      }
    }
    add(lines, "problems", inspection.passed() ? "none" : "" + inspection.problems().size());
    inspection.problems().forEach(problem -> lines.add("  - " + problem));
    return lines;
  }

  private static void add(List<String> lines, String label, String text) {
    lines.add("%-14s%s".formatted(label, text));
  }

  private static String architecture(Inspection.Model model) {
    return "%s: %d layers, %d of them with %d experts (%d a token, %d shared), hidden %d, %d heads,"
            .formatted(
                model.modelType(),
                model.layers(),
                model.moeLayers(),
                model.routedExperts(),
                model.expertsPerToken(),
                model.sharedExperts(),
                model.hiddenSize(),
                model.heads())
        + " vocabulary %d, %d positions".formatted(model.vocabularySize(), model.maxPositions());
  }

  private static String parameters(Inspection.Model model) {
    return "%s, %s active per token"
        .formatted(count(model.totalParameters()), count(model.activeParameters()));
  }

  private static String files(Inspection inspection) {
    long total = inspection.storedBytes().values().stream().mapToLong(Long::longValue).sum();
    String byType =
        inspection.storedBytes().entrySet().stream()
            .sorted(Map.Entry.comparingByKey())
            .map(entry -> entry.getKey() + " " + bytes(entry.getValue()))
            .collect(Collectors.joining(", "));
    return "%d tensors, %s (%s)".formatted(inspection.tensors(), bytes(total), byType);
  }

  private static String count(long parameters) {
    if (parameters < 1_000_000) {
      return Long.toString(parameters);
    }
    return parameters < 1_000_000_000
        ? String.format(Locale.ROOT, "%.1f M", parameters / 1e6)
        : String.format(Locale.ROOT, "%.1f B", parameters / 1e9);
  }

  private static String bytes(long bytes) {
    double size = bytes;
    int unit = 0;
    while (size >= 1024 && unit < UNITS.length - 1) {
      size /= 1024;
      unit++;
    }
    return String.format(Locale.ROOT, unit == 0 ? "%.0f %s" : "%.1f %s", size, UNITS[unit]);
  }
}
