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

import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Where a job writes.
 *
 * @param path the folder
 * @param format what its part files are
 * @param options of Spark's writer
 * @param overwrite whether to replace what is there
 * @param resume whether to take the finished results of earlier runs
 * @param preserveOrder whether rows are written in the input's order
 */
record OutputTarget(
    String path,
    Format format,
    Map<String, String> options,
    boolean overwrite,
    boolean resume,
    boolean preserveOrder) {
  private static final List<String> FORMATS = List.of("parquet", "jsonl", "csv");

  OutputTarget {
    options = Map.copyOf(options);
  }

  static OutputTarget of(Values values) {
    String path = values.required("output", "labelled.parquet");
    String name = values.one("output-format").orElse("").toLowerCase(Locale.ROOT);
    if (!name.isEmpty() && !FORMATS.contains(name)) {
      throw Values.invalid("output-format", name, "parquet, jsonl or csv");
    }
    Format format =
        name.isEmpty()
            ? Format.ofFile(path)
                .filter(found -> !found.equals(Format.TEXT) && !found.source().equals("orc"))
                .orElse(Format.PARQUET)
            : Format.named(name);
    return new OutputTarget(
        path,
        format,
        InputOptions.pairs(values, "output-option"),
        values.isOn("overwrite"),
        !values.isOn("no-resume"),
        values.isOn("preserve-order"));
  }
}
