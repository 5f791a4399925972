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

import org.apache.hadoop.conf.Configuration;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkEnv;
import org.apache.spark.deploy.SparkHadoopUtil;

/** What Spark's configuration says of file systems, {@code spark.hadoop.*}. */
final class HadoopConfiguration {
  private HadoopConfiguration() {}

  /** Of this JVM's application; before it starts, of what it will start with. */
  static Configuration ofSpark() {
    SparkEnv environment = SparkEnv.get();
    return SparkHadoopUtil.get()
        .newConfiguration(environment == null ? new SparkConf() : environment.conf());
  }
}
