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
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * A file format as Spark reads and writes it.
 *
 * @param source the name of Spark's source
 * @param readOptions for Spark's reader, where the user says nothing else
 * @param writeOptions for Spark's writer, where the user says nothing else
 */
record Format(String source, Map<String, String> readOptions, Map<String, String> writeOptions) {
  private static final Set<String> FILES = Set.of("json", "csv", "parquet", "orc", "text", "avro");

  static final Format PARQUET = plain("parquet");
  static final Format TEXT = plain("text");

  /** JSON lines; null fields are written, so that every line has every column. */
  static final Format JSONL = new Format("json", Map.of(), Map.of("ignoreNullFields", "false"));

  /** CSV as RFC 4180 has it: a header, quotes doubled, line breaks within quotes. */
  static final Format CSV = separated(",");

  private static final Format TSV = separated("\t");

  Format {
    readOptions = Map.copyOf(readOptions);
    writeOptions = Map.copyOf(writeOptions);
  }

  private static Format separated(String separator) {
    return new Format(
        "csv",
        Map.of("header", "true", "escape", "\"", "multiLine", "true", "sep", separator),
        Map.of("header", "true", "escape", "\"", "sep", separator));
  }

  private static Format plain(String source) {
    return new Format(source, Map.of(), Map.of());
  }

  /** Whether Spark reads it from files, so that a path names one. */
  boolean isFiles() {
    return FILES.contains(source);
  }

  /** The format called {@code name}; a name not known here is one of Spark's sources. */
  static Format named(String name) {
    return switch (name.toLowerCase(Locale.ROOT)) {
      case "jsonl", "json", "ndjson" -> JSONL;
      case "csv" -> CSV;
      case "tsv" -> TSV;
      case "parquet" -> PARQUET;
      case "text", "txt" -> TEXT;
      default -> plain(name);
    };
  }

  /** The format of a file of this name, by its extension, of which a compression's is no part. */
  static Optional<Format> ofFile(String fileName) {
    String name =
        fileName
            .toLowerCase(Locale.ROOT)
            .replaceFirst("\\.(gz|bz2|zst|zstd|lz4|snappy|deflate)$", "");
    int dot = name.lastIndexOf('.');
    return switch (dot < 0 ? "" : name.substring(dot + 1)) {
      case "jsonl", "json", "ndjson" -> Optional.of(JSONL);
      case "csv" -> Optional.of(CSV);
      case "tsv" -> Optional.of(TSV);
      case "parquet" -> Optional.of(PARQUET);
      case "orc" -> Optional.of(plain("orc"));
      case "txt", "text" -> Optional.of(TEXT);
      default -> Optional.empty();
    };
  }
}
