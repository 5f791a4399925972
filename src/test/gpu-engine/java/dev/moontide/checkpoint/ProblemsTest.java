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
package dev.moontide.checkpoint;

import static dev.moontide.checkpoint.TestCheckpoint.messageOf;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;

class ProblemsTest {
  @Test
  void oneProblemIsItself() {
    Problems problems = new Problems();
    problems.throwIfAny("DIR");
    problems.add("%s is wrong", "a");
    assertEquals("a is wrong", messageOf(() -> problems.throwIfAny("DIR")));
  }

  @Test
  void millionsAreCountedAndTheFirstKept() {
    Problems problems = new Problems();
    for (int i = 0; i < 1_000_000; i++) {
      problems.add("problem %d", i);
    }
    List<String> messages = problems.messages();
    assertEquals(10_001, messages.size());
    assertEquals("… and 990000 more", messages.get(10_000));
    String message = messageOf(() -> problems.throwIfAny("DIR"));
    assertTrue(message.startsWith("DIR: 1000000 problems\n  problem 0\n"), message);
    assertTrue(
        message.endsWith("\n  problem 19\n  … and 999980 more: moontide inspect lists them"),
        message);
  }

  @Test
  void severalInOneErrorStaySeveral() {
    Problems inner = new Problems();
    inner.add("a");
    inner.add("b");
    Problems outer = new Problems();
    outer.collect(() -> inner.throwIfAny("DIR"));
    assertEquals(List.of("a", "b"), outer.messages());
  }
}
