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

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * The packaged job on a real cluster, whatever happens to it: each output is what one JVM writes,
 * or the job says what is wrong and its finished rows are there for the next run.
 */
@Timeout(value = 20, unit = TimeUnit.MINUTES)
class ClusterIT {
  private static final Path ROOT =
      Path.of(System.getProperty("moontide.root")).toAbsolutePath().normalize();
  private static final Path JAR = Path.of(System.getProperty("moontide.jar"));
  private static final Path FOLDER = JAR.resolveSibling("cluster");
  private static final Path MODEL = ROOT.resolve("examples/models/tiny-k2-instruct");
  private static final Path DATA = ROOT.resolve("examples/data/clinc150");
  private static final Path PROPERTIES = ROOT.resolve("conf/spark-defaults-cpu.conf");
  private static final String SYSTEM = "Label the intent of the request.";

  /** Of the 4,500 requests every ninth is labelled, which takes two executors some seconds. */
  private static final int STEP = 9;

  private static final int SQL_STEP = 45;
  private static final int ROWS = 500;

  private static Cluster cluster;
  private static List<String> expected;

  @BeforeAll
  static void start() throws IOException {
    deleteAll(FOLDER);
    Files.createDirectories(FOLDER);
    String sparkJars = ChildJvm.read(JAR.resolveSibling("spark-class-path")).strip();
    cluster = new Cluster(FOLDER, JAR, sparkJars + ":" + BoundedFileSystem.jar(FOLDER));
    try (ChildJvm job = cluster.runLocally("local", PROPERTIES, label("local"))) {
      assertEquals(0, job.await(Cluster.LIMIT), job::log);
    }
    expected = output("local").rows();
    assertEquals(ROWS, expected.size());
  }

  @AfterAll
  static void stop() {
    if (cluster != null) {
      cluster.close();
    }
  }

  /** Executors of the job before may take a moment to end. */
  @BeforeEach
  void awaitFreeWorkers() {
    Await.until(
        "end of the executors of the test before",
        Cluster.LIMIT,
        () -> cluster.executors().isEmpty(),
        () -> cluster.executors().toString());
  }

  private static Output output(String name) {
    return new Output(FOLDER.resolve(name));
  }

  private static String where(int step) {
    return "int(substring(id, 6)) %% %d = 0".formatted(step);
  }

  /** The demonstration's command, on part of its rows. */
  private static List<String> label(String output, String... more) {
    List<String> arguments = new ArrayList<>();
    arguments.addAll(List.of("label", "--quiet", "--dtype", "f32", "--text-column", "text"));
    arguments.addAll(List.of("--input", DATA.resolve("test.jsonl").toString()));
    arguments.addAll(List.of("--where", where(STEP), "--id-column", "id"));
    arguments.addAll(List.of("--labels-file", DATA.resolve("labels.txt").toString()));
    arguments.addAll(List.of("--truth-column", "intent", "--probability-tolerance", "0.001"));
    arguments.addAll(List.of("--system", SYSTEM));
    arguments.addAll(List.of("--output-format", "jsonl"));
    List<String> given = List.of(more);
    Map.of(
            "--output", output(output).folder().toString(),
            "--partitions", "8",
            "--model", MODEL.toString())
        .forEach(
            (option, value) -> {
              if (!given.contains(option)) {
                arguments.addAll(List.of(option, value));
              }
            });
    arguments.addAll(given);
    return arguments;
  }

  /** Executors that fit two small workers, where the properties that are shipped fit large ones. */
  private static Map<String, String> configuration(String... more) {
    Map<String, String> configuration = new HashMap<>();
    configuration.put("spark.executor.cores", "2");
    configuration.put("spark.executor.memory", "640m");
    configuration.put("spark.executor.memoryOverhead", "0");
    // An engine has as many threads as its JVM sees processors.
    configuration.put(
        "spark.executor.extraJavaOptions", "-XX:ActiveProcessorCount=1 -Djava.io.tmpdir=" + FOLDER);
    configuration.put("spark.executor.resource.gpu.amount", "1");
    configuration.put("spark.task.resource.gpu.amount", "0.5");
    configuration.put("spark.ui.enabled", "false");
    // A job starts when both executors have.
    configuration.put("spark.cores.max", "4");
    configuration.put("spark.scheduler.minRegisteredResourcesRatio", "1");
    for (int i = 0; i < more.length; i += 2) {
      configuration.put(more[i], more[i + 1]);
    }
    return configuration;
  }

  private static ChildJvm submit(
      String name, Map<String, String> configuration, List<String> arguments) {
    return cluster.submit(name, PROPERTIES, configuration, arguments);
  }

  private static void assertDone(ChildJvm job, Output output) {
    assertEquals(0, job.await(Cluster.LIMIT), job::log);
    assertEquals(expected, output.rows());
    assertEquals(ROWS, output.count("rows"));
    assertEquals(0, output.count("errors"));
    assertEquals(ROWS, output.count("computed") + output.count("reused"));
  }

  /** Waits until some of a job's rows are finished and stored, and most are not. */
  private static void awaitResults(ChildJvm job, Output output) {
    Await.until(
        "stored results",
        Cluster.LIMIT,
        () -> {
          assertTrue(job.isAlive(), job::log);
          return output.hasResults();
        },
        job::log);
    assertFalse(output.exists(), "the output is there before the job is done");
  }

  /** What the job says of its end, among what Spark logs. */
  private static String told(ChildJvm job) {
    return job.log()
        .lines()
        .filter(line -> line.startsWith("moontide label: "))
        .reduce("", (before, line) -> line);
  }

  private static Map<String, String> executorLogs(ChildJvm job) {
    return cluster.executorLogs(job.logged("app ID (app-\\d+-\\d+)", Cluster.LIMIT));
  }

  private static int count(String pattern, String text) {
    return (int) Pattern.compile(pattern).matcher(text).results().count();
  }

  /** What the engine logs when its weights are loaded. */
  private static final String LOADED = "EngineLoader: .*tiny-k2-instruct: ";

  /**
   * The model's path is relative to where the job is submitted, which executors do not run in. What
   * the plugin would load by the configuration alone is another engine.
   */
  @Test
  void executorsLoadTheModelOnceAndHoldAGpuEach() {
    Output output = output("label");
    String model = FOLDER.toAbsolutePath().relativize(MODEL).toString();
    Map<String, String> configuration =
        configuration("spark.moontide.model", model, "spark.moontide.max-sequences", "64");
    List<String> arguments = label("label", "--model", model, "--max-sequences", "48");
    try (ChildJvm job = submit("label", configuration, arguments)) {
      assertDone(job, output);
      Map<String, String> logs = executorLogs(job);
      assertEquals(2, logs.size());
      TreeSet<String> gpus = new TreeSet<>();
      for (String log : logs.values()) {
        assertEquals(1, count("ahead of the first task", log), log);
        assertEquals(1, count(LOADED, log), log);
        assertTrue(count("Running task \\d", log) >= 2, log);
        Pattern.compile("name: gpu, addresses: (\\S+)\\]")
            .matcher(log)
            .results()
            .forEach(gpu -> gpus.add(gpu.group(1)));
      }
      assertEquals(List.of("0", "1"), List.copyOf(gpus));
    }
  }

  /** Executors without a GPU read and write, others with one are started to compute. */
  @Test
  @Tag("minutes")
  void stagesThatReadAndWriteHoldNoGpu() {
    Output output = output("stages");
    Map<String, String> configuration =
        configuration(
            "spark.dynamicAllocation.enabled", "true",
            "spark.dynamicAllocation.shuffleTracking.enabled", "true",
            // Of each kind: more that read would hold what the workers have left.
            "spark.dynamicAllocation.maxExecutors", "2",
            "spark.executor.cores", "1",
            "spark.moontide.preload", "false");
    configuration.remove("spark.executor.resource.gpu.amount");
    configuration.remove("spark.task.resource.gpu.amount");
    List<String> arguments =
        label("stages", "--engine-resources", "gpu=1,cores=1,memory=640m,overhead=0");
    try (ChildJvm job = submit("stages", configuration, arguments)) {
      assertDone(job, output);
      int computing = 0;
      TreeSet<String> gpus = new TreeSet<>();
      for (String log : executorLogs(job).values()) {
        List<String> held =
            Pattern.compile("gpu -> \\[name: gpu, addresses: (\\S+)\\]")
                .matcher(log)
                .results()
                .map(gpu -> gpu.group(1))
                .toList();
        assertEquals(held.size(), count(LOADED, log), log);
        computing += held.size();
        gpus.addAll(held);
      }
      assertTrue(computing > 0 && computing < executorLogs(job).size(), job::log);
      assertTrue(List.of("0", "1").containsAll(gpus), gpus::toString);
    }
  }

  @Test
  void sqlGivesTheLabels() throws Exception {
    Output output = output("sql");
    String labels =
        Files.readAllLines(DATA.resolve("labels.txt")).stream()
            .map(label -> "'" + label + "'")
            .collect(Collectors.joining(", "));
    String statement =
        "SELECT id, ai_classify(text, array(%s)) AS label FROM requests WHERE %s"
            .formatted(labels, where(SQL_STEP));
    List<String> arguments = new ArrayList<>(List.of("sql", statement));
    arguments.addAll(List.of("--view", "requests=" + DATA.resolve("test.jsonl")));
    arguments.addAll(List.of("--model", MODEL.toString(), "--dtype", "f32"));
    arguments.addAll(List.of("--system", SYSTEM));
    arguments.addAll(List.of("--output", output.folder().toString()));
    arguments.addAll(List.of("--output-format", "jsonl"));
    try (ChildJvm job = submit("sql", configuration(), arguments)) {
      assertEquals(0, job.await(Cluster.LIMIT), job::log);
      Map<String, String> answers = output.column("label");
      assertEquals(ROWS * STEP / SQL_STEP, answers.size());
      Map<String, String> labelled = output("local").column("label");
      labelled.keySet().retainAll(answers.keySet());
      assertEquals(labelled, answers);
      for (String log : executorLogs(job).values()) {
        assertEquals(1, count(LOADED, log), log);
      }
    }
  }

  @Test
  void aKilledExecutorCostsNoRow() {
    Output output = output("executor");
    try (ChildJvm job = submit("executor", configuration(), label("executor"))) {
      awaitResults(job, output);
      assertTrue(cluster.executors(1).get(0).destroyForcibly());
      assertDone(job, output);
      assertTrue(job.log().contains("Lost executor"), job::log);
    }
  }

  @Test
  @Tag("minutes")
  void aKilledWorkerCostsNoRow() {
    Output output = output("worker");
    try (ChildJvm job = submit("worker", configuration(), label("worker"))) {
      awaitResults(job, output);
      List<ProcessHandle> executors = cluster.executors(1);
      assertFalse(executors.isEmpty());
      cluster.killWorker(1);
      assertDone(job, output);
      assertTrue(job.log().contains("Lost executor"), job::log);
      Await.until(
          "end of the lost worker's executors",
          Cluster.LIMIT,
          () -> executors.stream().noneMatch(ProcessHandle::isAlive),
          executors::toString);
    } finally {
      cluster.restartWorker(1);
    }
  }

  @Test
  void aRerunAfterAKilledDriverGoesOn() {
    Output output = output("driver");
    try (ChildJvm job = submit("driver", configuration(), label("driver"))) {
      awaitResults(job, output);
      job.kill();
    }
    awaitFreeWorkers();
    assertFalse(output.exists(), "half an output is at the output's place");
    List<String> otherwise = label("driver", "--partitions", "5");
    try (ChildJvm job = submit("driver-again", configuration(), otherwise)) {
      assertDone(job, output);
      assertTrue(output.count("reused") > 0);
      assertTrue(output.count("computed") > 0);
    }
  }

  @Test
  @Tag("minutes")
  void aSpeculativeCopyOfEveryTaskChangesNothing() {
    Output output = output("speculation");
    Map<String, String> configuration =
        configuration(
            "spark.speculation", "true",
            "spark.speculation.interval", "50ms",
            "spark.speculation.minTaskRuntime", "1ms",
            "spark.speculation.task.duration.threshold", "1ms");
    List<String> arguments = label("speculation", "--partitions", "2");
    try (ChildJvm job = submit("speculation", configuration, arguments)) {
      assertDone(job, output);
      String logs = String.join("\n", executorLogs(job).values());
      assertTrue(count("Running task 0\\.1 in", logs) > 0, logs);
      assertTrue(count("Running task 1\\.1 in", logs) > 0, logs);
    }
  }

  @Test
  void anExecutorThatHangsIsReplaced() throws Exception {
    Output output = output("hang");
    Map<String, String> configuration =
        configuration(
            "spark.network.timeout", "15s",
            "spark.executor.heartbeatInterval", "1s",
            "spark.network.timeoutInterval", "1s",
            "spark.storage.blockManagerTimeoutIntervalMs", "1s");
    try (ChildJvm job = submit("hang", configuration, label("hang"))) {
      awaitResults(job, output);
      ProcessHandle executor = cluster.executors(1).get(0);
      assertEquals(
          0, new ProcessBuilder("sh", "-c", "kill -STOP " + executor.pid()).start().waitFor());
      assertDone(job, output);
      assertTrue(job.log().contains("heartbeat timed out"), job::log);
    }
  }

  @Test
  void aFullDiskEndsTheJobAndKeepsWhatIsFinished() throws Exception {
    Path room = FOLDER.resolve("room");
    Files.writeString(room, "60000");
    Output output = output("full");
    Map<String, String> configuration =
        configuration(
            "spark.hadoop.fs.bounded.impl",
            BoundedFileSystem.class.getName(),
            "spark.hadoop." + BoundedFileSystem.ROOM,
            room.toString());
    List<String> arguments = label("full", "--output", "bounded:" + output.folder());
    try (ChildJvm job = submit("full", configuration, arguments)) {
      assertEquals(1, job.await(Cluster.LIMIT), job::log);
      assertTrue(told(job).contains("no space is left in bounded:"), job::log);
    }
    assertFalse(output.exists(), "half an output is at the output's place");
    awaitFreeWorkers();
    Files.writeString(room, Long.toString(Long.MAX_VALUE));
    try (ChildJvm job = submit("full-again", configuration, arguments)) {
      assertDone(job, output);
      assertTrue(output.count("reused") > 0);
    }
  }

  @Test
  void aModelFileThatDisappearsIsNamed() throws Exception {
    Path model = Files.createDirectories(FOLDER.resolve("model/tiny-k2-instruct"));
    try (Stream<Path> files = Files.list(MODEL)) {
      for (Path file : files.toList()) {
        Files.copy(file, model.resolve(file.getFileName()));
      }
    }
    Path weights = model.resolve("model-00002-of-00002.safetensors");
    Path away = FOLDER.resolve("model-00002-of-00002.safetensors");
    Output output = output("lost-model");
    List<String> arguments = label("lost-model", "--model", model.toString());
    // One executor: no other takes the tasks that its replacement cannot compute.
    Map<String, String> configuration = configuration("spark.cores.max", "2");
    try (ChildJvm job = submit("lost-model", configuration, arguments)) {
      awaitResults(job, output);
      Files.move(weights, away, StandardCopyOption.ATOMIC_MOVE);
      assertTrue(cluster.executors().get(0).destroyForcibly());
      assertNotEquals(0, job.await(Cluster.LIMIT), job::log);
      String told = told(job);
      assertTrue(told.contains(weights.toString()), job::log);
    }
    assertFalse(output.exists(), "half an output is at the output's place");
    awaitFreeWorkers();
    Files.move(away, weights, StandardCopyOption.ATOMIC_MOVE);
    try (ChildJvm job = submit("lost-model-again", configuration, arguments)) {
      assertDone(job, output);
      assertTrue(output.count("reused") > 0);
    }
  }

  private static void deleteAll(Path folder) throws IOException {
    if (Files.exists(folder)) {
      try (Stream<Path> files = Files.walk(folder)) {
        for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
          Files.delete(file);
        }
      }
    }
  }
}
