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
package dev.moontide.sampling;

import java.util.List;
import java.util.function.ObjIntConsumer;

/**
 * The text of a growing output, watched for stop strings. A stop string may span tokens. Of several
 * the one complete first ends the output, the longer of two that end together, so the cut does not
 * depend on how the text was cut into tokens. An unfinished character at the end is left out.
 */
public final class GeneratedText {
  private final ObjIntConsumer<StringBuilder> decoder;
  private final List<String> stops;
  private final StringBuilder text = new StringBuilder();

  /**
   * @param decoder appends the text that a token completes
   * @param stops strings that end the output, none empty
   */
  public GeneratedText(ObjIntConsumer<StringBuilder> decoder, List<String> stops) {
    this.decoder = decoder;
    this.stops = stops;
  }

  /**
   * Appends a token; if a stop string is now complete, cuts the text before it and returns true.
   */
  public boolean append(int token) {
    int from = text.length();
    decoder.accept(text, token);
    int end = Integer.MAX_VALUE;
    int start = Integer.MAX_VALUE;
    for (String stop : stops) {
      int at = text.indexOf(stop, Math.max(0, from - stop.length() + 1));
      if (at >= 0 && (at + stop.length() < end || (at + stop.length() == end && at < start))) {
        start = at;
        end = at + stop.length();
      }
    }
    boolean stopped = start < Integer.MAX_VALUE;
    if (stopped) {
      text.setLength(start);
    }
    return stopped;
  }

  @Override
  public String toString() {
    return text.toString();
  }
}
