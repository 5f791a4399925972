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
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.spark.sql.catalyst.expressions.Attribute;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.NamedExpression;
import org.apache.spark.sql.catalyst.expressions.SubqueryExpression;
import org.apache.spark.sql.catalyst.plans.Cross$;
import org.apache.spark.sql.catalyst.plans.Inner$;
import org.apache.spark.sql.catalyst.plans.JoinType;
import org.apache.spark.sql.catalyst.plans.LeftAnti$;
import org.apache.spark.sql.catalyst.plans.LeftOuter$;
import org.apache.spark.sql.catalyst.plans.LeftSemi$;
import org.apache.spark.sql.catalyst.plans.RightOuter$;
import org.apache.spark.sql.catalyst.plans.logical.Aggregate;
import org.apache.spark.sql.catalyst.plans.logical.Filter;
import org.apache.spark.sql.catalyst.plans.logical.GlobalLimit;
import org.apache.spark.sql.catalyst.plans.logical.Join;
import org.apache.spark.sql.catalyst.plans.logical.LocalLimit;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.Offset;
import org.apache.spark.sql.catalyst.plans.logical.Project;
import org.apache.spark.sql.catalyst.plans.logical.Sort;
import org.apache.spark.sql.catalyst.plans.logical.SubqueryAlias;
import org.apache.spark.sql.catalyst.rules.Rule;
import scala.Option;

/**
 * Takes every call out of the operator that holds it, into an {@link InferencePlan} below.
 *
 * <p>It runs on the analysed plan, before the optimizer, which would otherwise copy calls: into a
 * filter that is pushed below the projection that names them, for one. An answer is carried up to
 * operators that hold the same call. Where none does, an operator's output stays what it was, so
 * that Spark finds a cached plan within a larger one.
 */
public final class ExtractCalls extends Rule<LogicalPlan> {
  /** A plan without calls, and the answers that each of its rows has, by the call. */
  private record Extracted(LogicalPlan plan, Map<Expression, Attribute> known) {}

  @Override
  public LogicalPlan apply(LogicalPlan plan) {
    return Calls.isAnywhereIn(plan) ? rewrite(plan, List.of()).plan() : plan;
  }

  /**
   * The same rows.
   *
   * @param wanted calls of operators above, whose answers are carried there if they are known here
   */
  private Extracted rewrite(LogicalPlan original, List<AiCall> wanted) {
    LogicalPlan plan = withSubqueries(original);
    Extracted extracted;
    if (plan instanceof Project project) {
      extracted = project(project, wanted);
    } else if (plan instanceof Filter filter) {
      extracted = filter(filter, wanted);
    } else if (plan instanceof Join join) {
      extracted = join(join, wanted);
    } else if (plan instanceof Aggregate aggregate && Groups.haveCalls(aggregate)) {
      extracted = rewrite(Groups.withCallsAbove(aggregate), wanted);
    } else if (plan instanceof Sort
        || plan instanceof GlobalLimit
        || plan instanceof LocalLimit
        || plan instanceof Offset
        || plan instanceof SubqueryAlias) {
      extracted = evaluateIn(plan, below(plan.children().head(), plan, wanted));
    } else {
      extracted = other(plan);
    }
    Map<Expression, Attribute> carried = known(wanted, extracted.known());
    return new Extracted(withOutput(extracted.plan(), original, carried.values()), carried);
  }

  private LogicalPlan withSubqueries(LogicalPlan plan) {
    return Calls.subqueries(plan).isEmpty()
        ? plan
        : plan.transformExpressionsUp(
            ScalaLists.each(
                part ->
                    part instanceof SubqueryExpression subquery
                        ? subquery.withNewPlan(apply(subquery.plan()))
                        : part));
  }

  /** What is known of {@code wanted}: the calls' answers, and those of calls in their arguments. */
  private static Map<Expression, Attribute> known(
      List<AiCall> wanted, Map<Expression, Attribute> known) {
    Map<Expression, Attribute> all = new LinkedHashMap<>();
    wanted.forEach(call -> known(call, known).ifPresent(all::putAll));
    return all;
  }

  private static Optional<Map<Expression, Attribute>> known(
      AiCall call, Map<Expression, Attribute> known) {
    Map<Expression, Attribute> used = new LinkedHashMap<>();
    Expression answer =
        call.transformUp(
            ScalaLists.each(
                part -> {
                  Attribute found = part instanceof AiCall ? known.get(part.canonicalized()) : null;
                  if (found == null) {
                    return part;
                  }
                  used.put(part.canonicalized(), found);
                  return found;
                }));
    return answer instanceof Attribute ? Optional.of(used) : Optional.empty();
  }

  private static LogicalPlan withOutput(
      LogicalPlan plan, LogicalPlan original, Collection<Attribute> more) {
    List<Attribute> output = new ArrayList<>(ScalaLists.list(original.output()));
    more.stream().filter(answer -> !output.contains(answer)).forEach(output::add);
    return Calls.withOutput(plan, ScalaLists.seq(output));
  }

  /** Of an operator whose output is not its child's. */
  private Extracted other(LogicalPlan plan) {
    if (!Calls.isHeldBy(plan)) {
      List<LogicalPlan> children =
          ScalaLists.list(plan.children()).stream()
              .map(child -> rewrite(child, List.of()).plan())
              .toList();
      return new Extracted(plan.withNewChildren(ScalaLists.seq(children)), Map.of());
    }
    if (plan.children().size() != 1) {
      throw new IllegalStateException("a call in " + plan.nodeName() + " passed analysis");
    }
    Extracted evaluated = evaluateIn(plan, below(plan.children().head(), plan, List.of()));
    return new Extracted(evaluated.plan(), Map.of());
  }

  /** What {@code operator} reads of one of its children. */
  private BelowOperator below(LogicalPlan child, LogicalPlan operator, List<AiCall> wanted) {
    List<AiCall> all = new ArrayList<>(wanted);
    ScalaLists.list(operator.expressions()).stream()
        .flatMap(expression -> Occurrence.in(expression).stream())
        .forEach(occurrence -> all.add(occurrence.call()));
    Extracted extracted = rewrite(child, all);
    return new BelowOperator(extracted.plan(), extracted.known());
  }

  /** The operator {@code plan} over {@code below}, which evaluates its calls. */
  private static Extracted evaluateIn(LogicalPlan plan, BelowOperator below) {
    List<Expression> expressions = ScalaLists.list(plan.expressions());
    List<Expression> evaluated = below.evaluate(expressions);
    Map<Expression, Expression> replacements = new HashMap<>();
    for (int i = 0; i < expressions.size(); i++) {
      replacements.put(expressions.get(i), evaluated.get(i));
    }
    LogicalPlan rewritten =
        plan.mapExpressions(expression -> replacements.getOrDefault(expression, expression));
    return new Extracted(
        rewritten.withNewChildren(ScalaLists.seq(List.of(below.plan()))), below.known());
  }

  private Extracted project(Project project, List<AiCall> wanted) {
    BelowOperator below = below(project.child(), project, wanted);
    List<Expression> list =
        new ArrayList<>(below.evaluate(ScalaLists.expressions(project.projectList())));
    for (Attribute answer : known(wanted, below.known()).values()) {
      if (!list.contains(answer)) {
        list.add(answer);
      }
    }
    List<NamedExpression> named = list.stream().map(NamedExpression.class::cast).toList();
    return new Extracted(new Project(ScalaLists.seq(named), below.plan()), below.known());
  }

  /**
   * Conditions one after the other, so that a call sees only rows that those before it let pass.
   */
  private Extracted filter(Filter filter, List<AiCall> wanted) {
    BelowOperator below = below(filter.child(), filter, wanted);
    List<Expression> conditions = Calls.conjuncts(filter.condition());
    if (conditions.stream().allMatch(Expression::deterministic)) {
      List<Expression> first = new ArrayList<>();
      List<Expression> last = new ArrayList<>();
      for (Expression condition : conditions) {
        if (!Calls.isIn(condition)) {
          // Spark finds references to an outer query only above the node.
          (Calls.isCorrelated(condition) ? last : first).add(condition);
        }
      }
      putFilter(below, first);
      conditions.stream()
          .filter(Calls::isIn)
          .forEach(condition -> putFilter(below, List.of(below.evaluate(condition))));
      putFilter(below, last);
    } else {
      Expression condition = below.evaluate(filter.condition());
      putFilter(below, List.of(condition));
    }
    return new Extracted(below.plan(), below.known());
  }

  private static void putFilter(BelowOperator below, List<Expression> conditions) {
    if (!conditions.isEmpty()) {
      below.put(plan -> new Filter(Calls.and(conditions), plan));
    }
  }

  /**
   * A call that reads one side is evaluated there, however many rows each of its rows is joined
   * with; one that reads both, for each pair that the rest of the condition lets pass.
   */
  private Extracted join(Join join, List<AiCall> wanted) {
    BelowOperator left = below(join.left(), join, wanted);
    BelowOperator right = below(join.right(), join, wanted);
    List<Expression> within = new ArrayList<>();
    List<Expression> across = new ArrayList<>();
    if (join.condition().isDefined()) {
      for (Expression condition : Calls.conjuncts(join.condition().get())) {
        Expression evaluated = right.evaluateReadable(left.evaluateReadable(condition));
        (Calls.isIn(evaluated) ? across : within).add(evaluated);
      }
    }
    Join rewritten =
        join.copy(
            left.plan(),
            right.plan(),
            join.joinType(),
            within.isEmpty() ? Option.empty() : Option.apply(Calls.and(within)),
            join.hint());
    BelowOperator above = new BelowOperator(rewritten, known(join.joinType(), left, right));
    across.forEach(condition -> putFilter(above, List.of(above.evaluate(condition))));
    return new Extracted(above.plan(), above.known());
  }

  /** A row that finds no partner has nulls for this, also for answers that are not null. */
  private static Map<Expression, Attribute> known(
      JoinType type, BelowOperator left, BelowOperator right) {
    boolean inner = isInner(type);
    Map<Expression, Attribute> known = new HashMap<>();
    if (inner
        || type == LeftOuter$.MODULE$
        || type == LeftSemi$.MODULE$
        || type == LeftAnti$.MODULE$) {
      known.putAll(left.known());
    }
    if (inner || type == RightOuter$.MODULE$) {
      known.putAll(right.known());
    }
    return known;
  }

  /** Whether a join's condition may be a filter above it as well. */
  static boolean isInner(JoinType type) {
    return type == Inner$.MODULE$ || type == Cross$.MODULE$;
  }
}
