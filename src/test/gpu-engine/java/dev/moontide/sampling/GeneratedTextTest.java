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

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import org.junit.jupiter.api.Test;

class GeneratedTextTest {
  /** Appends {@code pieces} up to the first stop; returns the text and how many were taken. */
  private static String run(List<String> stops, String... pieces) {
    GeneratedText text = new GeneratedText((out, token) -> out.append(pieces[token]), stops);
    int taken = 0;
    boolean stopped = false;
    while (taken < pieces.length && !stopped) {
      stopped = text.append(taken++);
    }
    return text + "|" + taken + (stopped ? "!" : "");
  }

  @Test
  void withoutStopsEverythingIsKept() {
    assertEquals("abc|2", run(List.of(), "ab", "c"));
  }

  @Test
  void aStopWithinOneToken() {
    assertEquals("a|1!", run(List.of("b"), "abc", "d"));
  }

  @Test
  void aStopAcrossTokens() {
    assertEquals("x|4!", run(List.of("abcd"), "xa", "b", "c", "de", "f"));
    assertEquals("xabab|3", run(List.of("abcd"), "xa", "b", "ab"));
    assertEquals("aa|4!", run(List.of("aab"), "a", "a", "aa", "b"));
  }

  @Test
  void theStopCompleteFirstCounts() {
    assertEquals("a|1!", run(List.of("abc", "b"), "abc"));
    assertEquals("a|2!", run(List.of("abc", "b"), "a", "b", "c"));
  }

  @Test
  void ofTwoThatEndTogetherTheLongerCounts() {
    assertEquals("|1!", run(List.of("bc", "abc"), "abc"));
    assertEquals("|3!", run(List.of("c", "abc"), "a", "b", "c"));
  }

  @Test
  void theFirstOccurrenceCounts() {
    assertEquals("a|1!", run(List.of("b"), "abab"));
  }

  @Test
  void aTokenWithoutTextYetStopsNothing() {
    assertEquals("ab|3", run(List.of("c"), "a", "", "b"));
  }
}
