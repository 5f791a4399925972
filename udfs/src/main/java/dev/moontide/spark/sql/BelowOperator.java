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

import dev.moontide.api.EngineOptions;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Predicate;
import java.util.function.UnaryOperator;
import org.apache.spark.sql.catalyst.expressions.Attribute;
import org.apache.spark.sql.catalyst.expressions.AttributeReference;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.Generator;
import org.apache.spark.sql.catalyst.expressions.NamedExpression;
import org.apache.spark.sql.catalyst.expressions.Or;
import org.apache.spark.sql.catalyst.expressions.OuterReference;
import org.apache.spark.sql.catalyst.expressions.PlanExpression;
import org.apache.spark.sql.catalyst.expressions.WindowExpression;
import org.apache.spark.sql.catalyst.expressions.aggregate.AggregateExpression;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.types.Metadata;
import scala.Option;

/**
 * The rows an operator reads and the answers they come with: evaluates the calls in an operator's
 * expressions below it, and puts attributes in their place.
 */
final class BelowOperator {
  private LogicalPlan plan;

  /** The answers of calls that every row has, by the call's canonical form. */
  private final Map<Expression, Attribute> known;

  /** The answers of calls that only those rows have which the operator needs them for. */
  private final Map<Expression, Attribute> guarded = new HashMap<>();

  BelowOperator(LogicalPlan plan, Map<Expression, Attribute> known) {
    this.plan = plan;
    this.known = new HashMap<>(known);
  }

  /** The rows with the answers. */
  LogicalPlan plan() {
    return plan;
  }

  /** Puts operators that keep the rows' attributes over them. */
  void put(UnaryOperator<LogicalPlan> over) {
    plan = over.apply(plan);
  }

  /** The answers of calls that every row has. */
  Map<Expression, Attribute> known() {
    return known;
  }

  Expression evaluate(Expression expression) {
    return evaluate(List.of(expression)).get(0);
  }

  /**
   * Evaluates every call in {@code expressions}: in one node for those that do not need another's
   * answer, and have the same engine.
   *
   * @return the expressions with attributes for the calls
   */
  List<Expression> evaluate(List<Expression> expressions) {
    return evaluate(expressions, call -> true);
  }

  /** Evaluates those calls in {@code expression} that read these rows alone. */
  Expression evaluateReadable(Expression expression) {
    return evaluate(List.of(expression), call -> call.references().subsetOf(plan.outputSet()))
        .get(0);
  }

  private List<Expression> evaluate(List<Expression> expressions, Predicate<AiCall> which) {
    List<Expression> left = replace(expressions);
    while (true) {
      Map<Expression, List<Occurrence>> calls = occurrences(left, which);
      if (calls.isEmpty()) {
        guarded.clear();
        return left;
      }
      evaluateReady(calls);
      left = replace(left);
    }
  }

  private static Map<Expression, List<Occurrence>> occurrences(
      List<Expression> expressions, Predicate<AiCall> which) {
    Map<Expression, List<Occurrence>> calls = new LinkedHashMap<>();
    for (Expression expression : expressions) {
      for (Occurrence occurrence : Occurrence.in(expression)) {
        if (which.test(occurrence.call())) {
          calls
              .computeIfAbsent(occurrence.call().canonicalized(), call -> new ArrayList<>())
              .add(occurrence);
        }
      }
    }
    return calls;
  }

  private void evaluateReady(Map<Expression, List<Occurrence>> calls) {
    List<List<Occurrence>> ready =
        calls.values().stream()
            .filter(BelowOperator::hasReadyArguments)
            .filter(all -> all.stream().allMatch(BelowOperator::hasReadyGuard))
            .toList();
    if (ready.isEmpty()) {
      // A guard waits for a call that waits for this one: evaluated for more rows than need it.
      ready = calls.values().stream().filter(BelowOperator::hasReadyArguments).toList();
    }
    Map<EngineOptions, List<AiCall>> byEngine = new LinkedHashMap<>();
    for (List<Occurrence> all : ready) {
      AiCall call = all.get(0).call();
      byEngine
          .computeIfAbsent(
              call.call().options().model().engineOptions(), engine -> new ArrayList<>())
          .add(call.withGuard(guard(all)));
    }
    byEngine.values().forEach(this::infer);
  }

  private static boolean hasReadyArguments(List<Occurrence> all) {
    return ScalaLists.list(all.get(0).call().arguments()).stream().noneMatch(Calls::isIn);
  }

  private static boolean hasReadyGuard(Occurrence occurrence) {
    return occurrence.guard().stream().noneMatch(Calls::isIn);
  }

  private void infer(List<AiCall> calls) {
    List<Attribute> answers = new ArrayList<>();
    for (AiCall call : calls) {
      Attribute answer =
          new AttributeReference(
              call.prettyName(),
              call.dataType(),
              true,
              Metadata.empty(),
              NamedExpression.newExprId(),
              ScalaLists.seq(List.of()));
      answers.add(answer);
      (call.guard().isEmpty() ? known : guarded)
          .put(call.withGuard(Option.empty()).canonicalized(), answer);
    }
    plan = new InferencePlan(ScalaLists.seq(calls), ScalaLists.seq(answers), plan);
  }

  /** The rows for which any of the occurrences needs the answer; empty for all rows. */
  private Option<Expression> guard(List<Occurrence> all) {
    List<Expression> any = new ArrayList<>();
    for (Occurrence occurrence : all) {
      List<Expression> conditions = occurrence.guard().stream().filter(this::canGuard).toList();
      if (conditions.isEmpty()) {
        return Option.empty();
      }
      any.add(Calls.and(conditions));
    }
    return Option.apply(any.stream().reduce(Or::new).orElseThrow());
  }

  /** Whether a condition means below the operator what it means in it. Leaving one out is safe. */
  private boolean canGuard(Expression condition) {
    Predicate<Expression> bound =
        part ->
            part instanceof AiCall
                || part instanceof PlanExpression<?>
                || part instanceof OuterReference
                || part instanceof AggregateExpression
                || part instanceof WindowExpression
                || part instanceof Generator;
    return condition.deterministic()
        && condition.references().subsetOf(plan.outputSet())
        && !Calls.exists(condition, bound);
  }

  private List<Expression> replace(List<Expression> expressions) {
    return expressions.stream()
        .map(expression -> expression.transformUp(ScalaLists.each(this::replace)))
        .toList();
  }

  private Expression replace(Expression part) {
    return part instanceof AiCall call
        ? answer(call).<Expression>map(answer -> answer).orElse(call)
        : part;
  }

  private Optional<Attribute> answer(AiCall call) {
    Expression key = call.canonicalized();
    return Optional.ofNullable(known.getOrDefault(key, guarded.get(key)));
  }
}
