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
import dev.moontide.spark.store.ResultFolder;
import dev.moontide.spark.store.ResultStore;
import java.io.IOException;
import java.util.Collections;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.WeakHashMap;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.SparkContext;
import org.apache.spark.sql.SparkSession;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The store of finished results that a session names, {@code spark.moontide.store}: a folder on any
 * file system Spark writes, which any number of queries and applications share. Its results are
 * kept until someone deletes the folder.
 */
public final class SessionStore {
  private static final Logger LOG = LoggerFactory.getLogger(SessionStore.class);

  private static final String OPTION = SessionOptions.PREFIX + SessionOptions.STORE;

  /** Folders whose small files this JVM's applications have merged. */
  private static final Set<String> TIDIED = ConcurrentHashMap.newKeySet();

  /** Sessions whose queries share with no others what their executors know of the store. */
  private static final Map<SparkSession, String> RUNS =
      Collections.synchronizedMap(new WeakHashMap<>());

  private SessionStore() {}

  /**
   * Has {@code session} keep its results in {@code folder}, whose results are its own to delete.
   */
  public static void use(SparkSession session, String folder) {
    RUNS.put(session, UUID.randomUUID().toString());
    session.conf().set(OPTION, folder);
  }

  /** The folder; empty where the session names none. */
  public static Optional<String> of(SparkSession session) {
    return Optional.ofNullable(session.conf().get(OPTION, null)).filter(path -> !path.isBlank());
  }

  /**
   * A store as tasks open it, on the driver. An application's queries share what its executors know
   * of it; the first merges the small files of those before.
   *
   * @throws MoontideException of category configuration if no file system has such a folder
   */
  public static ResultFolder open(String folder, SparkSession session) {
    SparkContext context = session.sparkContext();
    Configuration configuration = context.hadoopConfiguration();
    String path = qualified(folder, configuration);
    if (TIDIED.add(context.applicationId() + " " + path)) {
      try {
        ResultStore.tidy(path, configuration);
      } catch (IOException failed) { // slow, but no reason to fail for
        LOG.warn("the finished results in {} cannot be merged", path, failed);
      }
    }
    String run = RUNS.getOrDefault(session, context.applicationId());
    return ResultFolder.of(path, run, configuration);
  }

  /** With its file system: executors may have another default, or another working directory. */
  private static String qualified(String folder, Configuration configuration) {
    try {
      Path path = new Path(folder);
      return path.getFileSystem(configuration).makeQualified(path).toString();
    } catch (IOException | IllegalArgumentException invalid) {
      throw new MoontideException(
          MoontideException.Category.CONFIGURATION,
          "%s is %s: allowed is a folder on a file system Spark writes (%s)"
              .formatted(OPTION, folder, invalid.getMessage()),
          invalid);
    }
  }
}
