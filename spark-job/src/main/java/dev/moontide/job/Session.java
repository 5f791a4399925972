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
package dev.moontide.job;

import dev.moontide.spark.MoontideExtensions;
import dev.moontide.spark.SessionOptions;
import java.util.Map;
import java.util.Optional;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.SparkSession;
import scala.jdk.javaapi.CollectionConverters;
import scala.jdk.javaapi.OptionConverters;

/**
 * The Spark session a command runs in.
 *
 * @param spark the session
 * @param isOwn whether the command opened it
 */
record Session(SparkSession spark, boolean isOwn) implements AutoCloseable {
  /**
   * A command's options and, where it has none, those of the session that it will run in, {@code
   * spark.moontide.*}.
   *
   * @param own by name, in kebab-case
   * @throws dev.moontide.api.MoontideException of category configuration for a name that is none
   */
  static Map<String, String> options(Map<String, String> own) {
    return there()
        .map(session -> SessionOptions.of(CollectionConverters.asJava(session.conf().getAll())))
        .orElseGet(() -> SessionOptions.of(new SparkConf()))
        .beneath(own);
  }

  /** The session this JVM has, as in a notebook. */
  private static Optional<SparkSession> there() {
    return OptionConverters.toJava(SparkSession.getDefaultSession())
        .filter(session -> !session.sparkContext().isStopped());
  }

  /**
   * The session this JVM has; or else a new one as Spark's configuration says, where what that
   * leaves open suits a job of the engine.
   *
   * @param options of the job by name, in kebab-case; a new application's executors start with them
   */
  static Session of(String command, Map<String, String> options) {
    return there()
        .map(session -> new Session(session, false))
        .orElseGet(
            () ->
                new Session(
                    SparkSession.builder().config(configuration(command, options)).getOrCreate(),
                    true));
  }

  /**
   * A session with the SQL functions and {@code options} of its own: in the Spark application this
   * JVM has, or else in a new one.
   *
   * @param options by name, in kebab-case
   */
  static Session withFunctions(String command, Map<String, String> options) {
    Optional<SparkSession> there = there();
    SparkSession.clearActiveSession();
    SparkSession.clearDefaultSession();
    SparkSession.Builder builder = SparkSession.builder().withExtensions(new MoontideExtensions());
    if (there.isEmpty()) {
      builder.config(configuration(command, options));
    }
    SparkSession spark = builder.getOrCreate();
    SessionOptions.set(spark.conf(), options);
    there.ifPresent(SparkSession::setDefaultSession);
    return new Session(spark, there.isEmpty());
  }

  private static SparkConf configuration(String command, Map<String, String> options) {
    SparkConf configuration = new SparkConf();
    SessionOptions.setForExecutors(configuration, options);
    // spark-submit names a job after its main class where the user names none.
    if (configuration.get("spark.app.name", Main.class.getName()).equals(Main.class.getName())) {
      configuration.set("spark.app.name", "moontide " + command);
    }
    configuration.setIfMissing("spark.master", "local[*]");
    configuration.setIfMissing("spark.ui.showConsoleProgress", "false");
    // Small files are parted too, so that reading and prompting use every core.
    configuration.setIfMissing("spark.sql.files.openCostInBytes", "65536");
    if (configuration.get("spark.master").startsWith("local")) {
      configuration.setIfMissing("spark.ui.enabled", "false");
      // Running tasks report their counts with the heartbeat. Spark logs errors where one comes
      // before its start is over.
      configuration.setIfMissing("spark.executor.heartbeatInterval", "5s");
    }
    return configuration;
  }

  /** Stops the session where the command opened it. */
  @Override
  public void close() {
    if (isOwn) {
      spark.stop();
    }
  }
}
