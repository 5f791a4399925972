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

import dev.moontide.api.MoontideException;
import java.io.Serializable;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkContext;
import org.apache.spark.rdd.RDD;
import org.apache.spark.resource.ExecutorResourceRequests;
import org.apache.spark.resource.ResourceProfile;
import org.apache.spark.resource.ResourceProfileBuilder;
import org.apache.spark.resource.TaskResourceRequests;
import org.jspecify.annotations.Nullable;

/**
 * The executors of the stages that compute, where these are others than the application's: {@code
 * gpu=1,cores=8,memory=16g,overhead=200g}. Stages that read and write then hold no GPU. Spark
 * starts such executors when a stage needs them, and ends them when they are idle, so dynamic
 * allocation must be on.
 *
 * @param gpus of an executor, shared by its tasks
 * @param cores of an executor
 * @param memory its heap, as Spark writes sizes; null for the application's
 * @param overhead its memory beside the heap; null for the application's
 */
public record EngineResources(
    int gpus, int cores, @Nullable String memory, @Nullable String overhead)
    implements Serializable {
  private static final List<String> NAMES = List.of("gpu", "cores", "memory", "overhead");

  /** By application and request: Spark shares executors between stages of one profile alone. */
  private static final Map<String, ResourceProfile> PROFILES = new ConcurrentHashMap<>();

  public EngineResources {
    if (gpus < 0 || cores < 1) {
      throw MoontideException.configuration(
          "engine-resources has gpu=%d and cores=%d: allowed is at least 0 and 1", gpus, cores);
    }
  }

  /**
   * Reads {@code gpu=N,cores=N,memory=SIZE,overhead=SIZE}, of which any but cores may be left out.
   */
  static EngineResources parse(String text) {
    Map<String, String> given = new LinkedHashMap<>();
    for (String pair : text.split(",", -1)) {
      int equals = pair.indexOf('=');
      if (equals < 1) {
        throw MoontideException.configuration(
            "engine-resources is %s: allowed is e.g. gpu=1,cores=8,memory=16g,overhead=200g", text);
      }
      given.put(pair.substring(0, equals).strip(), pair.substring(equals + 1).strip());
    }
    OptionMap options = new OptionMap(given, NAMES);
    // Read for what is wrong with them; Spark takes them as they are written.
    options.bytes("memory", 0);
    options.bytes("overhead", 0);
    return new EngineResources(
        options.integer("gpu", 0),
        options.integer("cores", 1),
        options.string("memory"),
        options.string("overhead"));
  }

  /**
   * Has the stage of {@code rows} run on such executors.
   *
   * @throws MoontideException of category configuration where the cluster cannot have them
   */
  public <T> RDD<T> give(RDD<T> rows) {
    SparkContext context = rows.sparkContext();
    ResourceProfile profile =
        PROFILES.computeIfAbsent(
            context.applicationId() + " " + this, request -> profile(context.getConf()));
    try {
      return rows.withResources(profile);
    } catch (Exception unsupported) { // SparkException is checked, but Scala does not declare it
      throw new MoontideException(
          MoontideException.Category.CONFIGURATION,
          "engine-resources cannot be had here: %s; leave it out, or use YARN, Kubernetes or a standalone cluster with spark.dynamicAllocation.enabled=true"
              .formatted(unsupported.getMessage()),
          unsupported);
    }
  }

  /** The same as Spark has it; how an executor finds its GPUs is the application's. */
  ResourceProfile profile(SparkConf application) {
    ExecutorResourceRequests executor = new ExecutorResourceRequests().cores(cores);
    if (memory != null) {
      executor.memory(memory);
    }
    if (overhead != null) {
      executor.memoryOverhead(overhead);
    }
    TaskResourceRequests task =
        new TaskResourceRequests().cpus(application.getInt("spark.task.cpus", 1));
    if (gpus > 0) {
      executor.resource(
          "gpu",
          gpus,
          application.get("spark.executor.resource.gpu.discoveryScript", ""),
          application.get("spark.executor.resource.gpu.vendor", ""));
      task.resource("gpu", gpusOfTask());
    }
    return new ResourceProfileBuilder().require(executor).require(task).build();
  }

  /** So much that every core has a task; Spark parts a GPU in two or more, or gives it whole. */
  private double gpusOfTask() {
    double part = gpus / (double) cores;
    return part <= 0.5 ? part : 1;
  }
}
