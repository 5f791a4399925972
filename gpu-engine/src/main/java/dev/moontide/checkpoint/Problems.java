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

import com.google.errorprone.annotations.FormatMethod;
import dev.moontide.api.MoontideException;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Supplier;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** What is wrong with a checkpoint, collected so that a user sees all of it at once. */
public final class Problems {
  /** A hostile file may be wrong in millions of ways; these many are kept, the rest counted. */
  private static final int KEPT = 10_000;

  private static final int SHOWN = 20;

  /** Names come from the files; none of them may move a terminal's cursor. */
  private static final Pattern CONTROL = Pattern.compile("\\p{Cntrl}");

  private final List<String> messages = new ArrayList<>();
  private long count;

  /** Adds a problem: what was found where, and what was expected. */
  @FormatMethod
  public void add(String format, Object... arguments) {
    if (count++ < KEPT) {
      messages.add(CONTROL.matcher(String.format(format, arguments)).replaceAll("\ufffd"));
    }
  }

  /** Runs {@code check}, adding the message of the error it throws. */
  public void collect(Runnable check) {
    try {
      check.run();
    } catch (MoontideException e) {
      add(e);
    }
  }

  /** The result of {@code work}; if it throws, that is a problem and there is none. */
  public <T> Optional<T> attempt(Supplier<T> work) {
    try {
      return Optional.of(work.get());
    } catch (MoontideException e) {
      add(e);
      return Optional.empty();
    }
  }

  /** Adds the message of an error, or each of the problems it lists. */
  void add(MoontideException error) {
    if (error instanceof Several several) {
      several.problems.messages.forEach(message -> add("%s", message));
    } else {
      add("%s", Objects.requireNonNull(error.getMessage()));
    }
  }

  /** Every problem; of more than ten thousand, the first and a line with the number of others. */
  public List<String> messages() {
    List<String> all = new ArrayList<>(messages);
    if (count > KEPT) {
      all.add("… and " + (count - KEPT) + " more");
    }
    return List.copyOf(all);
  }

  /** Throws if there is any problem, as an error about {@code subject} that lists them. */
  public void throwIfAny(Object subject) {
    if (count == 1) {
      throw MoontideException.checkpoint("%s", messages.get(0));
    }
    if (count > 1) {
      throw new Several(subject, this);
    }
  }

  /** Several problems as one error. */
  private static final class Several extends MoontideException {
    private static final long serialVersionUID = 1L;

    private final transient Problems problems;

    Several(Object subject, Problems problems) {
      super(
          Category.CHECKPOINT,
          "%s: %d problems\n  %s".formatted(subject, problems.count, problems.summary()));
      this.problems = problems;
    }
  }

  private String summary() {
    String lines = messages.stream().limit(SHOWN).collect(Collectors.joining("\n  "));
    return count <= SHOWN
        ? lines
        : "%s\n  … and %d more: moontide inspect lists them".formatted(lines, count - SHOWN);
  }
}
