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
import org.apache.spark.sql.catalyst.optimizer.BuildLeft$;
import org.apache.spark.sql.catalyst.plans.FullOuter$;
import org.apache.spark.sql.catalyst.plans.JoinType;
import org.apache.spark.sql.catalyst.plans.LeftOuter$;
import org.apache.spark.sql.catalyst.plans.RightOuter$;
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
import org.apache.spark.sql.execution.joins.BroadcastNestedLoopJoinExec;
import org.apache.spark.sql.execution.joins.CartesianProductExec;
import scala.Option;

/**
 * Puts an exchange between an {@link InferenceExec} or a {@link TransformExec} and an operator that
 * computes its input more than once, which then reads what the exchange wrote:
 *
 * <ul>
 *   <li>a range partitioning, once to sample its keys, once to write it;
 *   <li>a Cartesian product, each partition of a side for each of the other;
 *   <li>an outer join that broadcasts the side whose rows it keeps, once to join and once to find
 *       those without a partner.
 * </ul>
 */
public final class MaterializeOnce extends Rule<SparkPlan> {
  @Override
  public SparkPlan apply(SparkPlan plan) {
    return plan.transformUp(ScalaLists.each(this::materialize));
  }

  private SparkPlan materialize(SparkPlan plan) {
    if (plan instanceof ShuffleExchangeExec exchange
        && exchange.outputPartitioning() instanceof RangePartitioning) {
      return withExchanges(plan, conf().numShufflePartitions());
    }
    boolean isOuter = plan instanceof BroadcastNestedLoopJoinExec join && readsStreamedTwice(join);
    if (plan instanceof CartesianProductExec || isOuter) {
      // A product has as many tasks as its sides' partitions multiplied.
      int cores = plan.session().sparkContext().defaultParallelism();
      return withExchanges(plan, Math.min(conf().numShufflePartitions(), cores));
    }
    return plan;
  }

  private static boolean readsStreamedTwice(BroadcastNestedLoopJoinExec join) {
    JoinType kept =
        join.buildSide() == BuildLeft$.MODULE$ ? LeftOuter$.MODULE$ : RightOuter$.MODULE$;
    return join.joinType() == kept || join.joinType() == FullOuter$.MODULE$;
  }

  private static SparkPlan withExchanges(SparkPlan plan, int partitions) {
    List<SparkPlan> children = ScalaLists.list(plan.children());
    if (children.stream().noneMatch(MaterializeOnce::computesAnswers)) {
      return plan;
    }
    return plan.withNewChildren(
        ScalaLists.seq(
            children.stream()
                .map(child -> computesAnswers(child) ? exchange(child, partitions) : child)
                .toList()));
  }

  private static SparkPlan exchange(SparkPlan child, int partitions) {
    return new ShuffleExchangeExec(
        new RoundRobinPartitioning(partitions),
        child,
        ENSURE_REQUIREMENTS$.MODULE$,
        Option.empty());
  }

  /** Whether reading {@code plan}'s rows again would ask the engine again. */
  private static boolean computesAnswers(SparkPlan plan) {
    if (plan instanceof Exchange
        || plan instanceof QueryStageExec
        || plan instanceof InMemoryTableScanExec) {
      return false;
    }
    return plan instanceof InferenceExec
        || plan instanceof TransformExec
        || ScalaLists.list(plan.children()).stream().anyMatch(MaterializeOnce::computesAnswers);
  }

  /**
   * The same where adaptive execution is off: of Spark's extension points only the columnar rules
   * then see the plan after its exchanges were added.
   */
  public static final class WithoutAdaptiveExecution extends ColumnarRule {
    @Override
    public Rule<SparkPlan> preColumnarTransitions() {
      return new MaterializeOnce();
    }
  }
}
