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
import dev.moontide.spark.JobOptions;
import dev.moontide.spark.Moontide;
import java.util.Map;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;

/**
 * Labels requests from a Java program. Compile it with Spark and the job jar on the class path, then
 *
 * <pre>spark-submit --jars moontide-0.1.0.jar --class LabelRequests label-requests.jar</pre>
 */
public final class LabelRequests {
  private LabelRequests() {}

  public static void main(String[] arguments) {
    SparkSession spark = SparkSession.builder().appName("label requests").getOrCreate();
    JobOptions options =
        JobOptions.fromMap(
            Map.of(
                "task", "label",
                "model", "examples/models/tiny-k2-instruct",
                "system", "Label the intent of the request.",
                "labels-file", "examples/data/clinc150/labels.txt"));
    Dataset<Row> requests = spark.read().json("examples/data/clinc150/test.jsonl");
    Moontide.with(options)
        .transform(requests.limit(100))
        .select("id", "text", "label", "label_probability", "error")
        .show(false);
    spark.stop();
  }
}
