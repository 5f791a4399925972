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
package dev.moontide.cluster;

import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A JVM that a test started, and those it started in turn. None outlives {@link #close}. */
final class ChildJvm implements AutoCloseable {
  private static final Duration TO_END = Duration.ofSeconds(20);

  private final Process process;
  private final Path log;

  /** What a killed process leaves behind belongs to nobody, so it is noted before. */
  private final Set<ProcessHandle> orphans = ConcurrentHashMap.newKeySet();

  private ChildJvm(Process process, Path log) {
    this.process = process;
    this.log = log;
  }

  /**
   * Starts a main class of Spark's.
   *
   * @param folder where it works
   * @param name of the log there, which takes its stdout and stderr
   * @param options the JVM's, before the main class
   */
  static ChildJvm start(
      Path folder,
      String name,
      Path classPath,
      Map<String, String> environment,
      List<String> options) {
    Path log = folder.resolve(name + ".log");
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of("-cp", classPath.resolve("*").toString()));
    command.addAll(options);
    ProcessBuilder builder =
        new ProcessBuilder(command)
            .directory(folder.toFile())
            .redirectErrorStream(true)
            .redirectInput(new File("/dev/null"))
            .redirectOutput(log.toFile());
    builder.environment().putAll(environment);
    try {
      return new ChildJvm(builder.start(), log);
    } catch (IOException failed) {
      throw new UncheckedIOException(failed);
    }
  }

  String log() {
    return read(log);
  }

  /** A file another process may be writing to; what is no text yet comes as replacements. */
  static String read(Path file) {
    try {
      return new String(Files.readAllBytes(file), StandardCharsets.UTF_8);
    } catch (IOException unreadable) {
      throw new UncheckedIOException(unreadable);
    }
  }

  /** The first group of {@code pattern} in the log, once it is there. */
  String logged(String pattern, Duration limit) {
    Pattern compiled = Pattern.compile(pattern);
    return Await.value(
        "\"" + pattern + "\" in the log",
        limit,
        () -> {
          Matcher matcher = compiled.matcher(log());
          if (matcher.find()) {
            return Optional.of(matcher.group(1));
          }
          if (!process.isAlive()) {
            throw new AssertionError("ended with %d%n%s".formatted(process.exitValue(), log()));
          }
          return Optional.empty();
        },
        this::log);
  }

  boolean isAlive() {
    return process.isAlive();
  }

  /** The processes it started and has not lost. */
  List<ProcessHandle> children() {
    return process.children().filter(ProcessHandle::isAlive).toList();
  }

  /** Waits until it has ended, and returns its exit status. */
  int await(Duration limit) {
    Await.until("end of " + log.getFileName(), limit, () -> !process.isAlive(), this::log);
    return process.exitValue();
  }

  /** As {@code kill -9} does; its children stay. */
  void kill() {
    process.descendants().forEach(orphans::add);
    process.destroyForcibly();
    Await.until("death of a killed JVM", TO_END, () -> !process.isAlive(), this::log);
  }

  /** Kills it and all it started. */
  void killAll() {
    process.descendants().forEach(orphans::add);
    orphans.add(process.toHandle());
    orphans.forEach(ProcessHandle::destroyForcibly);
  }

  @Override
  public void close() {
    killAll();
    Await.until(
        "end of the child processes",
        TO_END,
        () -> orphans.stream().noneMatch(ProcessHandle::isAlive),
        orphans::toString);
  }
}
