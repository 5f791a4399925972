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
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import org.apache.spark.sql.catalyst.expressions.SubqueryExpression;
import org.apache.spark.sql.catalyst.plans.logical.CTERelationDef;
import org.apache.spark.sql.catalyst.plans.logical.CTERelationRef;
import org.apache.spark.sql.catalyst.plans.logical.Command;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.SubqueryAlias;
import org.apache.spark.sql.catalyst.plans.logical.View;
import org.apache.spark.sql.catalyst.plans.logical.WithCTE;
import org.apache.spark.sql.catalyst.rules.Rule;
import scala.Option;

/**
 * Computes a part of a query that stands in it more than once (a view or subquery with calls,
 * joined with itself) once, by making it a common table expression, which Spark evaluates once
 * where it is not deterministic, as an {@link InferencePlan} says it is.
 *
 * <p>It runs after {@link ExtractCalls} and before the optimizer, which would give each use filters
 * and columns of its own; of a common table expression it pushes down what all uses have in common.
 */
public final class ShareAnswers extends Rule<LogicalPlan> {
  @Override
  public LogicalPlan apply(LogicalPlan plan) {
    return plan instanceof Command
        ? withChildren(plan, this::apply)
        : plan.isStreaming() ? plan : new Query().share(plan);
  }

  private static LogicalPlan withChildren(LogicalPlan plan, UnaryOperator<LogicalPlan> rewrite) {
    List<LogicalPlan> children = ScalaLists.list(plan.children()).stream().map(rewrite).toList();
    return plan.withNewChildren(ScalaLists.seq(children));
  }

  /** A query and, by their canonical forms, the parts of it that could be shared. */
  private static final class Query {
    private final Map<LogicalPlan, Integer> uses = new HashMap<>();
    private final Map<LogicalPlan, CTERelationDef> shared = new HashMap<>();

    /** Each after those it refers to. */
    private final List<CTERelationDef> definitions = new ArrayList<>();

    LogicalPlan share(LogicalPlan plan) {
      count(plan);
      if (uses.values().stream().allMatch(count -> count == 1)) {
        return plan;
      }
      LogicalPlan rewritten = rewrite(plan);
      if (rewritten instanceof WithCTE with) {
        definitions.addAll(ScalaLists.list(with.cteDefs()));
        return new WithCTE(with.plan(), ScalaLists.seq(definitions));
      }
      return new WithCTE(rewritten, ScalaLists.seq(definitions));
    }

    private void count(LogicalPlan plan) {
      if (!Calls.anywhere(plan, InferencePlan.class::isInstance)) {
        return;
      }
      if (isPart(plan) && uses.merge(plan.canonicalized(), 1, Integer::sum) > 1) {
        return; // what is in it was counted with the first
      }
      ScalaLists.list(plan.children()).forEach(this::count);
      Calls.subqueries(plan).forEach(subquery -> count(subquery.plan()));
    }

    /** With references in place of the parts that stand in the query more than once. */
    private LogicalPlan rewrite(LogicalPlan plan) {
      if (!Calls.anywhere(plan, InferencePlan.class::isInstance)) {
        return plan;
      }
      if (!isPart(plan) || uses.getOrDefault(plan.canonicalized(), 1) == 1) {
        return within(plan);
      }
      CTERelationDef definition = shared.get(plan.canonicalized());
      if (definition == null) {
        definition =
            new CTERelationDef(
                within(plan), CTERelationDef.newId(), Option.empty(), false, Option.empty());
        shared.put(plan.canonicalized(), definition);
        definitions.add(definition);
      }
      return new CTERelationRef(
          definition.id(),
          true,
          plan.output(),
          false,
          Option.empty(),
          false,
          Option.empty(),
          false);
    }

    private LogicalPlan within(LogicalPlan plan) {
      LogicalPlan rewritten = withChildren(plan, this::rewrite);
      return Calls.subqueries(rewritten).isEmpty()
          ? rewritten
          : rewritten.transformExpressionsUp(
              ScalaLists.each(
                  part ->
                      part instanceof SubqueryExpression subquery
                          ? subquery.withNewPlan(rewrite(subquery.plan()))
                          : part));
    }

    /** Not what only names a part or its columns, whose canonical form is that of the part. */
    private static boolean isPart(LogicalPlan plan) {
      boolean onlyNames =
          plan instanceof SubqueryAlias
              || plan instanceof View
              || (plan.children().size() == 1
                  && plan.children().head().canonicalized().equals(plan.canonicalized()));
      return !onlyNames && canBeShared(plan);
    }

    /** Rows that each evaluation of it would have, and that it has where it does not stand. */
    private static boolean canBeShared(LogicalPlan plan) {
      return ScalaLists.list(plan.expressions()).stream()
              .allMatch(part -> part.deterministic() && !Calls.isCorrelated(part))
          && !(plan instanceof WithCTE)
          && !(plan instanceof CTERelationDef)
          && !(plan instanceof CTERelationRef)
          && Calls.subqueries(plan).isEmpty()
          && ScalaLists.list(plan.children()).stream().allMatch(Query::canBeShared);
    }
  }
}
