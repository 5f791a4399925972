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

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.SparkContext;
import org.apache.spark.sql.catalyst.expressions.Alias;
import org.apache.spark.sql.catalyst.expressions.Attribute;
import org.apache.spark.sql.catalyst.expressions.ExprId;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.Literal;
import org.apache.spark.sql.catalyst.expressions.NamedExpression;
import org.apache.spark.sql.catalyst.expressions.SortOrder;
import org.apache.spark.sql.catalyst.plans.logical.Filter;
import org.apache.spark.sql.catalyst.plans.logical.GlobalLimit;
import org.apache.spark.sql.catalyst.plans.logical.LocalLimit;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.Offset;
import org.apache.spark.sql.catalyst.plans.logical.Project;
import org.apache.spark.sql.catalyst.plans.logical.Repartition;
import org.apache.spark.sql.catalyst.plans.logical.Sample;
import org.apache.spark.sql.catalyst.plans.logical.Sort;
import org.apache.spark.sql.catalyst.rules.Rule;
import org.jspecify.annotations.Nullable;

/**
 * Moves below an {@link AnsweringPlan} what leaves fewer rows and needs no answer (filters,
 * samples, limits, and the order a limit goes by), and drops calls whose answers no one reads.
 * Spark's own rules stop at an operator they do not know.
 */
public final class PushThroughInference extends Rule<LogicalPlan> {
  /** Rows of a limit for each task that computes them: a limit alone leaves one task. */
  private static final int LIMITED_ROWS_PER_TASK = 64;

  private final SparkContext context;

  /**
   * @param context of the session, which says how many tasks run at once
   */
  public PushThroughInference(SparkContext context) {
    this.context = context;
  }

  @Override
  public LogicalPlan apply(LogicalPlan plan) {
    return plan.transformDown(ScalaLists.each(this::push));
  }

  private LogicalPlan push(LogicalPlan plan) {
    if (plan instanceof Filter filter && filter.child() instanceof AnsweringPlan inference) {
      return pushFilter(filter, inference);
    }
    if (plan instanceof Sample sample && sample.child() instanceof AnsweringPlan inference) {
      return inference.over(sample.withNewChildren(ScalaLists.seq(List.of(inference.child()))));
    }
    if (plan instanceof Project project && project.child() instanceof AnsweringPlan inference) {
      return dropUnread(project, inference);
    }
    return isLimit(plan) ? pushLimits(plan) : plan;
  }

  private static LogicalPlan pushFilter(Filter filter, AnsweringPlan inference) {
    List<Expression> below = new ArrayList<>();
    List<Expression> above = new ArrayList<>();
    List<Expression> conditions = Calls.conjuncts(filter.condition());
    for (Expression condition : conditions) {
      boolean canPass =
          condition.deterministic()
              && condition.references().subsetOf(inference.child().outputSet())
              && !Calls.isCorrelated(condition);
      (canPass ? below : above).add(condition);
    }
    // A random condition sees the same rows in the same order below, but not beside others there.
    if (below.isEmpty()
        || (below.size() < conditions.size()
            && !conditions.stream().allMatch(Expression::deterministic))) {
      return filter;
    }
    LogicalPlan passed = inference.over(new Filter(Calls.and(below), inference.child()));
    return above.isEmpty() ? passed : new Filter(Calls.and(above), passed);
  }

  private static LogicalPlan dropUnread(Project project, AnsweringPlan inference) {
    LogicalPlan read = inference.answering(project.references());
    return read.equals(inference)
        ? project
        : project.withNewChildren(ScalaLists.seq(List.of(read)));
  }

  private static boolean isLimit(LogicalPlan plan) {
    return plan instanceof GlobalLimit || plan instanceof LocalLimit || plan instanceof Offset;
  }

  /** Limits over projections, with at most one sort among these, over an inference. */
  private LogicalPlan pushLimits(LogicalPlan top) {
    Deque<LogicalPlan> limits = new ArrayDeque<>();
    LogicalPlan plan = top;
    while (isLimit(plan)) {
      limits.push(plan);
      plan = plan.children().head();
    }
    Deque<Project> projections = new ArrayDeque<>();
    Sort sort = null;
    List<SortOrder> order = List.of();
    while (!(plan instanceof AnsweringPlan)) {
      if (plan instanceof Project project
          && ScalaLists.expressions(project.projectList()).stream()
              .allMatch(Expression::deterministic)) {
        order = order.stream().map(by -> through(project, by)).toList();
        projections.push(project);
      } else if (plan instanceof Sort only && sort == null && only.global()) {
        sort = only;
        order = ScalaLists.list(only.order());
      } else {
        return top;
      }
      plan = plan.children().head();
    }
    AnsweringPlan inference = (AnsweringPlan) plan;
    LogicalPlan rows = inference.child();
    if (sort != null) {
      if (!inference.keepsOrder()
          || !order.stream()
              .allMatch(by -> by.deterministic() && by.references().subsetOf(rows.outputSet()))) {
        return top;
      }
      LogicalPlan sorted = sort.copy(ScalaLists.seq(order), true, rows, sort.hint());
      return over(inference.over(over(sorted, limits)), projections);
    }
    return over(inference.over(spread(over(rows, limits), top)), projections);
  }

  private static LogicalPlan over(LogicalPlan plan, Iterable<? extends LogicalPlan> operators) {
    LogicalPlan all = plan;
    for (LogicalPlan operator : operators) {
      all = operator.withNewChildren(ScalaLists.seq(List.of(all)));
    }
    return all;
  }

  /** An order by a projection's columns, by what these are made of. */
  private static SortOrder through(Project project, SortOrder order) {
    Map<ExprId, Expression> definitions = new HashMap<>();
    for (NamedExpression named : ScalaLists.list(project.projectList())) {
      if (named instanceof Alias alias) {
        definitions.put(alias.exprId(), alias.child());
      }
    }
    return (SortOrder)
        order.transformDown(ScalaLists.<Expression>each(part -> definition(part, definitions)));
  }

  private static Expression definition(Expression part, Map<ExprId, Expression> definitions) {
    @Nullable Expression definition =
        part instanceof Attribute attribute ? definitions.get(attribute.exprId()) : null;
    return definition == null ? part : definition;
  }

  /** Spreads many limited rows over tasks again, unless they have an order to keep. */
  private LogicalPlan spread(LogicalPlan limited, LogicalPlan top) {
    if (!(top instanceof GlobalLimit limit)
        || !(limit.limitExpr() instanceof Literal literal)
        || !(literal.value() instanceof Integer rows)
        || !limited.outputOrdering().isEmpty()) {
      return limited;
    }
    int tasks =
        Math.min(
            context.defaultParallelism(),
            (rows + LIMITED_ROWS_PER_TASK - 1) / LIMITED_ROWS_PER_TASK);
    return tasks <= 1 ? limited : new Repartition(tasks, true, limited);
  }
}
