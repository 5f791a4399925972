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

import java.util.List;
import org.apache.spark.sql.catalyst.plans.physical.RangePartitioning;
import org.apache.spark.sql.catalyst.plans.physical.RoundRobinPartitioning;
import org.apache.spark.sql.catalyst.rules.Rule;
import org.apache.spark.sql.execution.ColumnarRule;
import org.apache.spark.sql.execution.SparkPlan;
import org.apache.spark.sql.execution.adaptive.QueryStageExec;
import org.apache.spark.sql.execution.columnar.InMemoryTableScanExec;
import org.apache.spark.sql.execution.exchange.ENSURE_REQUIREMENTS$;
import org.apache.spark.sql.execution.exchange.Exchange;
import org.apache.spark.sql.execution.exchange.ShuffleExchangeExec;
import scala.Option;

/**
 * Puts an exchange between an {@link InferenceExec} and a range partitioning, which reads its input
 * twice: once to sample its keys, once to write it. The sample then reads what the exchange wrote.
 */
public final class MaterializeBeforeSampling extends Rule<SparkPlan> {
  @Override
  public SparkPlan apply(SparkPlan plan) {
    return plan.transformUp(ScalaLists.each(this::materialize));
  }

  private SparkPlan materialize(SparkPlan plan) {
    return plan instanceof ShuffleExchangeExec exchange
            && exchange.outputPartitioning() instanceof RangePartitioning
            && computesAnswers(exchange.child())
        ? exchange.withNewChildren(
            ScalaLists.seq(
                List.of(
                    new ShuffleExchangeExec(
                        new RoundRobinPartitioning(conf().numShufflePartitions()),
                        exchange.child(),
                        ENSURE_REQUIREMENTS$.MODULE$,
                        Option.empty()))))
        : plan;
  }

  /** Whether reading {@code plan}'s rows again would ask the engine again. */
  private static boolean computesAnswers(SparkPlan plan) {
    if (plan instanceof Exchange
        || plan instanceof QueryStageExec
        || plan instanceof InMemoryTableScanExec) {
      return false;
    }
    return plan instanceof InferenceExec
        || ScalaLists.list(plan.children()).stream()
            .anyMatch(MaterializeBeforeSampling::computesAnswers);
  }

  /**
   * The same where adaptive execution is off: of Spark's extension points only the columnar rules
   * then see the plan after its exchanges were added.
   */
  public static final class WithoutAdaptiveExecution extends ColumnarRule {
    @Override
    public Rule<SparkPlan> preColumnarTransitions() {
      return new MaterializeBeforeSampling();
    }
  }
}
