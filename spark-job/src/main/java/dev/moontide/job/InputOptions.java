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
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * What a job reads.
 *
 * @param paths files, folders or globs; may be empty for a source that is no files
 * @param format as given; by extension otherwise
 * @param options of Spark's reader
 * @param where an SQL condition rows must satisfy
 * @param limit rows to take
 * @param partitions to compute in
 */
record InputOptions(
    List<String> paths,
    Optional<String> format,
    Map<String, String> options,
    Optional<String> where,
    Optional<Integer> limit,
    Optional<Integer> partitions) {

  InputOptions {
    paths = List.copyOf(paths);
    options = Map.copyOf(options);
  }

  static InputOptions of(Values values) {
    boolean hasPaths =
        values.one("input-format").map(Format::named).map(Format::isFiles).orElse(true);
    if (hasPaths) {
      values.required("input", "data.jsonl");
    }
    return new InputOptions(
        values.all("input"),
        values.one("input-format"),
        pairs(values, "input-option"),
        values.one("where"),
        values.positive("limit"),
        values.positive("partitions"));
  }

  /** The values of an option of {@code K=V}. */
  static Map<String, String> pairs(Values values, String name) {
    Map<String, String> pairs = new LinkedHashMap<>();
    for (String pair : values.all(name)) {
      int equals = pair.indexOf('=');
      if (equals < 1) {
        throw MoontideException.configuration(
            "--%s is %s: allowed is name=value, e.g. sep=;", name, pair);
      }
      if (pairs.put(pair.substring(0, equals), pair.substring(equals + 1)) != null) {
        throw MoontideException.configuration(
            "--%s gives %s twice: keep one", name, pair.substring(0, equals));
      }
    }
    return pairs;
  }
}
