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
import java.util.function.Predicate;
import org.apache.spark.sql.catalyst.expressions.And;
import org.apache.spark.sql.catalyst.expressions.Attribute;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.NamedExpression;
import org.apache.spark.sql.catalyst.expressions.OuterReference;
import org.apache.spark.sql.catalyst.expressions.SubqueryExpression;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.Project;
import scala.collection.immutable.Seq;

/** Where calls stand in plans and expressions. */
final class Calls {
  private Calls() {}

  static boolean isIn(Expression expression) {
    return exists(expression, AiCall.class::isInstance);
  }

  /** Whether an operator itself, and not one below it, holds a call to be taken out. */
  static boolean isHeldBy(LogicalPlan operator) {
    return !(operator instanceof InferencePlan)
        && ScalaLists.list(operator.expressions()).stream().anyMatch(Calls::isIn);
  }

  /** Whether there is a call to be taken out anywhere in a plan, its subqueries included. */
  static boolean isAnywhereIn(LogicalPlan plan) {
    return anywhere(plan, Calls::isHeldBy);
  }

  /** Whether an operator anywhere in a plan, its subqueries included, is such. */
  static boolean anywhere(LogicalPlan plan, Predicate<LogicalPlan> such) {
    return such.test(plan)
        || ScalaLists.list(plan.children()).stream().anyMatch(child -> anywhere(child, such))
        || subqueries(plan).stream().anyMatch(subquery -> anywhere(subquery.plan(), such));
  }

  /** The subqueries in the expressions of an operator itself. */
  static List<SubqueryExpression> subqueries(LogicalPlan operator) {
    List<SubqueryExpression> found = new ArrayList<>();
    ScalaLists.list(operator.expressions())
        .forEach(
            expression ->
                exists(
                    expression,
                    part -> {
                      if (part instanceof SubqueryExpression subquery) {
                        found.add(subquery);
                      }
                      return false;
                    }));
    return found;
  }

  static boolean exists(Expression expression, Predicate<Expression> such) {
    return such.test(expression)
        || ScalaLists.list(expression.children()).stream().anyMatch(part -> exists(part, such));
  }

  /** Whether it refers to a row of an outer query. */
  static boolean isCorrelated(Expression expression) {
    return exists(expression, OuterReference.class::isInstance);
  }

  /** The conditions of which {@code condition} is the conjunction. */
  static List<Expression> conjuncts(Expression condition) {
    if (condition instanceof And and) {
      List<Expression> all = new ArrayList<>(conjuncts(and.left()));
      all.addAll(conjuncts(and.right()));
      return all;
    }
    return List.of(condition);
  }

  /** The conjunction of at least one condition. */
  static Expression and(List<Expression> conditions) {
    return conditions.stream().reduce(And::new).orElseThrow();
  }

  /** {@code plan} with {@code output}, which is its own or part of it. */
  static LogicalPlan withOutput(LogicalPlan plan, Seq<Attribute> output) {
    return plan.output().equals(output)
        ? plan
        : new Project(ScalaLists.<NamedExpression>seq(ScalaLists.list(output)), plan);
  }
}
