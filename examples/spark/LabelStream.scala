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
import dev.moontide.spark.{JobOptions, Moontide}
import org.apache.spark.sql.SparkSession
import scala.jdk.CollectionConverters._

/** Labels a stream of requests from a Scala program: new files as they come, each row once.
  *
  * In a shell: spark-shell --jars moontide-0.1.0.jar, then
  * {{{
  * :load examples/spark/LabelStream.scala
  * LabelStream.main(Array())
  * }}}
  */
object LabelStream {
  def main(arguments: Array[String]): Unit = {
    val spark = SparkSession.builder().appName("label a stream").getOrCreate()
    val options = JobOptions.fromMap(
      Map(
        "task" -> "label",
        "model" -> "examples/models/tiny-k2-instruct",
        "system" -> "Label the intent of the request.",
        "labels" -> "weather,translate,alarm"
      ).asJava
    )
    val requests = spark.readStream
      .schema("id STRING, text STRING")
      .json("examples/data/clinc150/*.jsonl")
    Moontide
      .`with`(options)
      .transform(requests)
      .writeStream
      .option("checkpointLocation", "out/label-stream-checkpoint")
      .format("parquet")
      .start("out/label-stream")
      .awaitTermination()
  }
}
