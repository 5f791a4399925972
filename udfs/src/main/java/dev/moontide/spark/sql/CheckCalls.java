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

import dev.moontide.api.MoontideException;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.LambdaFunction;
import org.apache.spark.sql.catalyst.expressions.SubqueryExpression;
import org.apache.spark.sql.catalyst.plans.logical.Command;
import org.apache.spark.sql.catalyst.plans.logical.Join;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import scala.Function1;
import scala.runtime.BoxedUnit;

/** Refuses calls where there are no rows of which they could be evaluated in batches. */
public final class CheckCalls implements Function1<LogicalPlan, BoxedUnit> {
  @Override
  public BoxedUnit apply(LogicalPlan plan) {
    check(plan);
    RecursiveCalls.check(plan);
    return BoxedUnit.UNIT;
  }

  private static void check(LogicalPlan plan) {
    ScalaLists.list(plan.children()).forEach(CheckCalls::check);
    for (SubqueryExpression subquery : Calls.subqueries(plan)) {
      check(subquery.plan());
      checkCorrelated(subquery.plan());
    }
    if (Calls.isHeldBy(plan)) {
      checkOperator(plan);
      ScalaLists.list(plan.expressions()).forEach(CheckCalls::checkLambdas);
    }
  }

  private static void checkLambdas(Expression expression) {
    Calls.exists(
        expression,
        part -> {
          if (part instanceof LambdaFunction lambda && Calls.isIn(lambda)) {
            throw MoontideException.configuration(
                "%s stands in the lambda of a higher-order function, which Spark evaluates value"
                    + " by value: explode the array to rows, call it on these, and collect_list"
                    + " the answers",
                name(lambda));
          }
          return false;
        });
  }

  private static void checkOperator(LogicalPlan plan) {
    if (plan instanceof Command) {
      throw MoontideException.configuration(
          "%s stands in a %s: write its answers to a table first, and use that here",
          name(plan), plan.nodeName());
    }
    if (plan instanceof Join join) {
      if (!ExtractCalls.isInner(join.joinType())) {
        ScalaLists.list(join.expressions()).forEach(condition -> checkSides(condition, join));
      }
    } else if (plan.children().size() != 1) {
      throw MoontideException.configuration(
          "%s stands in a %s, which has no rows of its own to evaluate it for: call it in a"
              + " SELECT from a table, and use the answer here",
          name(plan), plan.nodeName());
    }
  }

  private static void checkSides(Expression condition, Join join) {
    Calls.exists(
        condition,
        part -> {
          if (part instanceof AiCall call
              && !call.references().subsetOf(join.left().outputSet())
              && !call.references().subsetOf(join.right().outputSet())) {
            throw MoontideException.configuration(
                "%s reads both sides of a %s join in its condition: only an inner join can have"
                    + " it evaluated, for each pair of rows; call it on one side, or in a WHERE"
                    + " after an inner join",
                call.prettyName(), join.joinType().sql());
          }
          return false;
        });
  }

  /** Spark turns a correlated subquery into a join, which it can do only above the answers. */
  private static void checkCorrelated(LogicalPlan plan) {
    if (Calls.isHeldBy(plan)) {
      boolean inCall =
          ScalaLists.list(plan.expressions()).stream()
              .anyMatch(
                  expression ->
                      Calls.exists(
                          expression, part -> part instanceof AiCall && Calls.isCorrelated(part)));
      boolean below =
          ScalaLists.list(plan.children()).stream()
              .anyMatch(child -> Calls.anywhere(child, CheckCalls::isCorrelated));
      if (inCall || below) {
        throw MoontideException.configuration(
            "%s stands in a correlated subquery and %s the outer query's row: Spark turns such a"
                + " subquery into a join, before which it cannot be evaluated; call it in a"
                + " subquery of its own, or join the tables",
            name(plan), inCall ? "reads" : "comes after a condition on");
      }
    }
    ScalaLists.list(plan.children()).forEach(CheckCalls::checkCorrelated);
  }

  private static boolean isCorrelated(LogicalPlan plan) {
    return ScalaLists.list(plan.expressions()).stream().anyMatch(Calls::isCorrelated);
  }

  /** The function of a call that an operator holds. */
  static String name(LogicalPlan plan) {
    return ScalaLists.list(plan.expressions()).stream()
        .filter(Calls::isIn)
        .findFirst()
        .map(CheckCalls::name)
        .orElse("");
  }

  private static String name(Expression expression) {
    if (expression instanceof AiCall call) {
      return call.prettyName();
    }
    return ScalaLists.list(expression.children()).stream()
        .map(CheckCalls::name)
        .filter(name -> !name.isEmpty())
        .findFirst()
        .orElse("");
  }
}
