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
package dev.moontide.spark.sql;

import dev.moontide.spark.Inference;
import dev.moontide.spark.SessionStore;
import java.util.List;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.execution.SparkPlan;
import org.apache.spark.sql.execution.SparkStrategy;
import scala.Option;
import scala.collection.immutable.Seq;

/** Plans {@link InferencePlan}s. */
public final class InferenceStrategy extends SparkStrategy {
  private final SparkSession session;
  private final Inference.Source source;

  /**
   * @param session says where finished results are kept
   * @param source opens the engine in tasks
   */
  public InferenceStrategy(SparkSession session, Inference.Source source) {
    this.session = session;
    this.source = source;
  }

  @Override
  public Seq<SparkPlan> apply(LogicalPlan plan) {
    return plan instanceof InferencePlan inference
        ? ScalaLists.seq(
            List.of(
                new InferenceExec(
                    inference.calls(),
                    inference.answers(),
                    planLater(inference.child()),
                    source,
                    Option.apply(SessionStore.of(session).orElse(null)))))
        : ScalaLists.seq(List.of());
  }
}
