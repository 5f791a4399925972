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

import java.util.regex.Pattern;

/** A row's error without what differs between rows, so that equal reasons can be counted. */
public final class ErrorReason {
  /** Characters of a reason at most. */
  public static final int LENGTH = 200;

  /** What is quoted in an error, as a regular expression, and what stands for it in a reason. */
  public static final String QUOTED = "\"[^\"]*\"";

  public static final String FOR_QUOTED = "\"…\"";

  /** The same for numbers. */
  public static final String NUMBER = "[0-9]+";

  public static final String FOR_NUMBER = "#";

  private static final Pattern QUOTED_PATTERN = Pattern.compile(QUOTED);
  private static final Pattern NUMBER_PATTERN = Pattern.compile(NUMBER);

  private ErrorReason() {}

  /** The reason of {@code error}. */
  public static String of(String error) {
    String unquoted = QUOTED_PATTERN.matcher(error).replaceAll(FOR_QUOTED);
    String general = NUMBER_PATTERN.matcher(unquoted).replaceAll(FOR_NUMBER);
    return general.length() <= LENGTH ? general : general.substring(0, LENGTH);
  }
}
