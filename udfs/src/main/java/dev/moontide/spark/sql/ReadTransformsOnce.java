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
import org.apache.spark.SparkContext;
import org.apache.spark.sql.catalyst.expressions.SortOrder;
import org.apache.spark.sql.catalyst.planning.ExtractEquiJoinKeys;
import org.apache.spark.sql.catalyst.plans.logical.Join;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.Repartition;
import org.apache.spark.sql.catalyst.plans.logical.RepartitionByExpression;
import org.apache.spark.sql.catalyst.plans.logical.RepartitionOperation;
import org.apache.spark.sql.catalyst.plans.logical.Sort;
import org.apache.spark.sql.catalyst.rules.Rule;

/**
 * Puts a shuffle between a {@link TransformPlan} and an operator that may read its input more than
 * once, as {@link MaterializeOnce} does for calls, but for any session: physical plans are open to
 * extensions alone. So it goes by what Spark may plan: a global order, a join without equalities.
 */
final class ReadTransformsOnce extends Rule<LogicalPlan> {
  private final SparkContext context;

  ReadTransformsOnce(SparkContext context) {
    this.context = context;
  }

  @Override
  public LogicalPlan apply(LogicalPlan plan) {
    return plan.transformUp(ScalaLists.each(this::materialize));
  }

  private LogicalPlan materialize(LogicalPlan plan) {
    if ((plan instanceof Sort sort && sort.global()) || isByRange(plan)) {
      return withShuffles(plan, conf().numShufflePartitions());
    }
    if (plan instanceof Join join && ExtractEquiJoinKeys.unapply(join).isEmpty()) {
      // A product has as many tasks as its sides' partitions multiplied.
      return withShuffles(
          plan, Math.min(conf().numShufflePartitions(), context.defaultParallelism()));
    }
    return plan;
  }

  private static boolean isByRange(LogicalPlan plan) {
    return plan instanceof RepartitionByExpression repartition
        && ScalaLists.list(repartition.partitionExpressions()).stream()
            .anyMatch(SortOrder.class::isInstance);
  }

  private static LogicalPlan withShuffles(LogicalPlan plan, int partitions) {
    List<LogicalPlan> children = ScalaLists.list(plan.children());
    return children.stream().noneMatch(ReadTransformsOnce::computesAnswers)
        ? plan
        : plan.withNewChildren(
            ScalaLists.seq(
                children.stream()
                    .map(
                        child ->
                            computesAnswers(child)
                                ? new Repartition(partitions, true, child)
                                : child)
                    .toList()));
  }

  private static boolean computesAnswers(LogicalPlan plan) {
    boolean isShuffled = plan instanceof RepartitionOperation shuffled && shuffled.shuffle();
    return plan instanceof TransformPlan
        || (!isShuffled
            && ScalaLists.list(plan.children()).stream()
                .anyMatch(ReadTransformsOnce::computesAnswers));
  }
}
