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
