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
package dev.moontide.spark.store;

import java.io.Serializable;
import java.nio.file.Path;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.SparkFiles;
import org.apache.spark.util.SerializableConfiguration;

/**
 * Where a job keeps its finished results, as it travels to executors.
 *
 * @param path a folder on any Hadoop file system; it need not exist
 * @param run names this run of the job: its tasks on an executor share what they know
 * @param hadoop how to reach the folder
 */
public record ResultFolder(String path, String run, SerializableConfiguration hadoop)
    implements Serializable {

  /** The folder {@code path}, reached as {@code configuration} says. */
  public static ResultFolder of(String path, String run, Configuration configuration) {
    return new ResultFolder(path, run, new SerializableConfiguration(configuration));
  }

  /**
   * What a task does with it, on its executor, where a copy lies with Spark's own files.
   *
   * @throws dev.moontide.api.MoontideException of category engine if it cannot be read
   */
  public TaskResults open(RequestKeys keys) {
    return ResultStore.open(this, keys, Path.of(SparkFiles.getRootDirectory()));
  }
}
