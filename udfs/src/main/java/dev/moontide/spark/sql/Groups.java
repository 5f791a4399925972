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

import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.catalyst.expressions.Alias;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.NamedExpression;
import org.apache.spark.sql.catalyst.expressions.aggregate.AggregateExpression;
import org.apache.spark.sql.catalyst.plans.logical.Aggregate;
import org.apache.spark.sql.catalyst.plans.logical.Project;
import scala.Option;

/** Calls on groups, and on aggregates of them. */
final class Groups {
  private Groups() {}

  /** Whether there are such, not inside an aggregate function or a grouping expression. */
  static boolean haveCalls(Aggregate aggregate) {
    return ScalaLists.expressions(aggregate.aggregateExpressions()).stream()
        .anyMatch(expression -> isOverGroups(expression, aggregate));
  }

  private static boolean isOverGroups(Expression expression, Aggregate aggregate) {
    return !isComputedByGroup(expression, aggregate)
        && (expression instanceof AiCall
            || ScalaLists.list(expression.children()).stream()
                .anyMatch(part -> isOverGroups(part, aggregate)));
  }

  private static boolean isComputedByGroup(Expression expression, Aggregate aggregate) {
    return expression instanceof AggregateExpression
        || ScalaLists.list(aggregate.groupingExpressions()).stream()
            .anyMatch(grouping -> grouping.semanticEquals(expression));
  }

  /** The aggregate without those calls, and over it the projection that has them. */
  static Project withCallsAbove(Aggregate aggregate) {
    List<NamedExpression> above = new ArrayList<>();
    List<NamedExpression> computed = new ArrayList<>();
    for (Expression expression : ScalaLists.expressions(aggregate.aggregateExpressions())) {
      if (isOverGroups(expression, aggregate)) {
        above.add((NamedExpression) withAttributes(expression, aggregate, computed));
      } else {
        NamedExpression named = (NamedExpression) expression;
        computed.add(named);
        above.add(named.toAttribute());
      }
    }
    return new Project(
        ScalaLists.seq(above),
        aggregate.copy(
            aggregate.groupingExpressions(),
            ScalaLists.seq(computed),
            aggregate.child(),
            aggregate.hint()));
  }

  /** Names what the aggregate computes in {@code expression} and refers to it by that name. */
  private static Expression withAttributes(
      Expression expression, Aggregate aggregate, List<NamedExpression> computed) {
    return expression.transformDown(
        ScalaLists.each(
            part -> {
              if (!isComputedByGroup(part, aggregate)) {
                return part;
              }
              NamedExpression named =
                  part instanceof NamedExpression already
                      ? already
                      : new Alias(
                          part,
                          "group",
                          NamedExpression.newExprId(),
                          ScalaLists.seq(List.of()),
                          Option.empty(),
                          ScalaLists.seq(List.of()));
              if (computed.stream().noneMatch(there -> there.exprId().equals(named.exprId()))) {
                computed.add(named);
              }
              return (Expression) named.toAttribute();
            }));
  }
}
