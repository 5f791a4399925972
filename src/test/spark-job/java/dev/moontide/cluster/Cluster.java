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

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.stream.Stream;
import org.apache.spark.launcher.JavaModuleOptions;

/**
 * A standalone Spark cluster of a master and two workers on the loopback network, from the jars
 * Maven has. The workers are two hosts to Spark (127.0.0.1 and 127.0.0.2), so that it runs a task
 * on both when it speculates, and each has a GPU by its discovery script.
 */
final class Cluster implements AutoCloseable {
  /** On a machine that others use too. */
  static final Duration LIMIT = Duration.ofMinutes(10);

  private static final int WORKERS = 2;
  private static final int WORKER_CORES = 2;

  /** Room for an executor that computes beside one that does not. */
  private static final String WORKER_MEMORY = "1536m";

  /** Of a JVM that computes nothing and is over in seconds: no time to compile much. */
  private static final String COMPILE_LITTLE = "-XX:TieredStopAtLevel=1";

  private final Path folder;
  private final Path home;
  private final Path jar;
  private final List<ChildJvm> started = new CopyOnWriteArrayList<>();
  private final List<ChildJvm> workers = new ArrayList<>();
  private final String master;

  /**
   * Starts the cluster.
   *
   * @param folder takes its files and logs
   * @param jar the job's
   * @param sparkJars every jar Spark needs, parted by colons
   */
  Cluster(Path folder, Path jar, String sparkJars) {
    this.folder = folder;
    this.jar = jar;
    this.home = home(folder.resolve("spark"), sparkJars);
    // A build that is interrupted closes nothing.
    Runtime.getRuntime().addShutdownHook(new Thread(() -> started.forEach(ChildJvm::killAll)));
    try {
      ChildJvm running =
          start(
              "master",
              host(0),
              // The REST server would take a port of its own choice.
              List.of(COMPILE_LITTLE, "-Dspark.master.rest.enabled=false"),
              "org.apache.spark.deploy.master.Master",
              List.of("--host", host(0), "--port", "0", "--webui-port", "0"));
      this.master = running.logged("Starting Spark master at (spark://\\S+)", LIMIT);
      for (int worker = 0; worker < WORKERS; worker++) {
        workers.add(startWorker(worker));
      }
      for (ChildJvm worker : workers) {
        var unused = worker.logged("(Successfully registered with master)", LIMIT);
      }
    } catch (RuntimeException | Error failed) {
      close();
      throw failed;
    }
  }

  private static Path home(Path home, String sparkJars) {
    try {
      Files.createDirectories(home.resolve("conf"));
      Path jars = Files.createDirectories(home.resolve("jars"));
      for (String entry : sparkJars.split(":", -1)) {
        Path file = Path.of(entry);
        Files.createSymbolicLink(jars.resolve(file.getFileName().toString()), file);
      }
      return home;
    } catch (IOException failed) {
      throw new UncheckedIOException(failed);
    }
  }

  private static String host(int worker) {
    return "127.0.0." + (1 + worker);
  }

  private ChildJvm start(
      String name, String host, List<String> options, String mainClass, List<String> arguments) {
    List<String> command = new ArrayList<>(List.of("-Xmx512m", "-XX:+UseSerialGC"));
    command.add("-Djava.io.tmpdir=" + folder);
    command.addAll(
        Arrays.asList(JavaModuleOptions.defaultModuleOptions().strip().split("\\s+", -1)));
    command.addAll(options);
    command.add(mainClass);
    command.addAll(arguments);
    ChildJvm child =
        ChildJvm.start(
            folder,
            name,
            home.resolve("jars"),
            Map.of(
                "SPARK_HOME",
                home.toString(),
                "SPARK_CONF_DIR",
                home.resolve("conf").toString(),
                "SPARK_SCALA_VERSION",
                "2.13",
                "SPARK_LOCAL_IP",
                host,
                "JAVA_HOME",
                System.getProperty("java.home")),
            command);
    started.add(child);
    return child;
  }

  private ChildJvm startWorker(int worker) {
    return start(
        "worker-%d-%d".formatted(worker, started.size()),
        host(worker),
        List.of(
            COMPILE_LITTLE,
            "-Dspark.worker.resource.gpu.amount=1",
            "-Dspark.worker.resource.gpu.discoveryScript=" + discovery(worker)),
        "org.apache.spark.deploy.worker.Worker",
        List.of(
            "--host",
            host(worker),
            "--webui-port",
            "0",
            "--cores",
            Integer.toString(WORKER_CORES),
            "--memory",
            WORKER_MEMORY,
            "--work-dir",
            folder.resolve("work-" + worker).toString(),
            master));
  }

  private String discovery(int worker) {
    Path script = folder.resolve("discover-%d.sh".formatted(worker));
    try {
      Files.writeString(
          script,
          "#!/bin/sh\necho '{\"name\": \"gpu\", \"addresses\": [\"%d\"]}'\n".formatted(worker));
      Files.setPosixFilePermissions(script, PosixFilePermissions.fromString("rwxr-xr-x"));
    } catch (IOException failed) {
      throw new UncheckedIOException(failed);
    }
    return script.toString();
  }

  /** Kills a worker's daemon; what becomes of its executors is Spark's. */
  void killWorker(int worker) {
    workers.get(worker).kill();
  }

  /** Starts a worker again that was killed, and waits until the master has it. */
  void restartWorker(int worker) {
    workers.set(worker, startWorker(worker));
    var unused = workers.get(worker).logged("(Successfully registered with master)", LIMIT);
  }

  /** The processes of a worker's executors. */
  List<ProcessHandle> executors(int worker) {
    return workers.get(worker).children();
  }

  /** The processes of all executors. */
  List<ProcessHandle> executors() {
    return workers.stream().map(ChildJvm::children).flatMap(List::stream).toList();
  }

  /** What the executors of an application wrote, each by its number. */
  Map<String, String> executorLogs(String application) {
    Map<String, String> logs = new TreeMap<>();
    for (int worker = 0; worker < WORKERS; worker++) {
      Path work = folder.resolve("work-" + worker).resolve(application);
      if (Files.isDirectory(work)) {
        try (Stream<Path> executors = Files.list(work)) {
          executors.forEach(
              executor ->
                  logs.put(
                      executor.getFileName().toString(),
                      ChildJvm.read(executor.resolve("stderr"))));
        } catch (IOException failed) {
          throw new UncheckedIOException(failed);
        }
      }
    }
    return logs;
  }

  /**
   * Submits the job to the cluster.
   *
   * @param name of the log
   * @param configuration Spark's, beside the properties file that is shipped
   * @param arguments the command's
   */
  ChildJvm submit(
      String name, Path properties, Map<String, String> configuration, List<String> arguments) {
    return submit(name, List.of(COMPILE_LITTLE), master, properties, configuration, arguments);
  }

  /** Runs the job in one JVM, without the cluster. */
  ChildJvm runLocally(String name, Path properties, List<String> arguments) {
    return submit(name, List.of(), "local[2]", properties, Map.of(), arguments);
  }

  private ChildJvm submit(
      String name,
      List<String> options,
      String to,
      Path properties,
      Map<String, String> configuration,
      List<String> arguments) {
    List<String> command = new ArrayList<>(List.of("--master", to));
    command.addAll(List.of("--properties-file", properties.toString()));
    new TreeMap<>(configuration)
        .forEach((key, value) -> command.addAll(List.of("--conf", key + "=" + value)));
    command.addAll(List.of("--class", "dev.moontide.job.Main", jar.toString()));
    command.addAll(arguments);
    return start(name, host(0), options, "org.apache.spark.deploy.SparkSubmit", command);
  }

  /** Ends every process of the cluster and of its jobs. */
  @Override
  public void close() {
    started.forEach(ChildJvm::killAll);
    started.forEach(ChildJvm::close);
  }
}
