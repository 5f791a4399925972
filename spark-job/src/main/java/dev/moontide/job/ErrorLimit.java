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

import dev.moontide.spark.JobMetrics;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * How many rows of a job may fail: {@code --max-errors}.
 *
 * @param text as given
 * @param rows the number, or per cent of all rows
 * @param isPercent which of these
 */
record ErrorLimit(String text, double rows, boolean isPercent) {
  private static final Pattern SYNTAX = Pattern.compile("(\\d{1,12}|\\d{1,3}(?:\\.\\d+)?%)");

  /** Rows of which a part says something of the whole, while a job runs. */
  private static final long REPRESENTATIVE = 1000;

  private static final int REASONS = 3;

  static ErrorLimit parse(String text) {
    Matcher matcher = SYNTAX.matcher(text.strip());
    boolean isPercent = text.strip().endsWith("%");
    double rows =
        matcher.matches() ? Double.parseDouble(matcher.group(1).replace("%", "")) : Double.NaN;
    if (!(rows >= 0) || (isPercent && rows > 100)) {
      throw Values.invalid("max-errors", text, "a number of rows, e.g. 100, or a part, e.g. 1%");
    }
    return new ErrorLimit(text.strip(), rows, isPercent);
  }

  /** Whether more rows failed, of those done so far; a part of few rows is not yet counted. */
  boolean isExceededSoFar(JobMetrics.Snapshot counts) {
    return (!isPercent || counts.rows() >= REPRESENTATIVE) && isExceeded(counts);
  }

  /** Whether more rows failed, of all. */
  boolean isExceeded(JobMetrics.Snapshot counts) {
    return counts.errors() > (isPercent ? rows / 100 * counts.rows() : rows);
  }

  /** What to tell of a job that is over the limit, in one line. */
  String message(JobMetrics.Snapshot counts) {
    String reasons =
        counts.reasons().entrySet().stream()
            .sorted(
                Map.Entry.<String, Long>comparingByValue()
                    .reversed()
                    .thenComparing(Map.Entry.comparingByKey()))
            .limit(REASONS)
            .map(reason -> format("%,d × %s", reason.getValue(), reason.getKey()))
            .collect(Collectors.joining("; "));
    return format(
        "%,d of %,d rows failed, more than --max-errors %s: %s",
        counts.errors(), counts.rows(), text, reasons);
  }

  private static String format(String format, Object... values) {
    return String.format(Locale.ROOT, format, values);
  }
}
