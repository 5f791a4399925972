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
import org.apache.spark.sql.catalyst.expressions.And;
import org.apache.spark.sql.catalyst.expressions.CaseWhen;
import org.apache.spark.sql.catalyst.expressions.Coalesce;
import org.apache.spark.sql.catalyst.expressions.EqualNullSafe;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.If;
import org.apache.spark.sql.catalyst.expressions.IsNull;
import org.apache.spark.sql.catalyst.expressions.Literal;
import org.apache.spark.sql.catalyst.expressions.Not;
import org.apache.spark.sql.catalyst.expressions.Or;
import scala.Tuple2;

/**
 * A call where it stands in an expression.
 *
 * @param call the call
 * @param guard conditions, all of which hold where the expression needs its answer
 */
record Occurrence(AiCall call, List<Expression> guard) {
  Occurrence {
    guard = List.copyOf(guard);
  }

  /** The calls in {@code expression}, those in arguments of others included. */
  static List<Occurrence> in(Expression expression) {
    List<Occurrence> found = new ArrayList<>();
    collect(expression, List.of(), found);
    return found;
  }

  private static void collect(
      Expression expression, List<Expression> guard, List<Occurrence> found) {
    if (!Calls.isIn(expression)) {
      return;
    }
    if (expression instanceof CaseWhen cases) {
      collectCases(cases, guard, found);
    } else if (expression instanceof If choice) {
      collect(choice.predicate(), guard, found);
      collect(choice.trueValue(), with(guard, isTrue(choice.predicate())), found);
      collect(choice.falseValue(), with(guard, new Not(isTrue(choice.predicate()))), found);
    } else if (expression instanceof And and) {
      collect(and.left(), guard, found);
      collect(and.right(), with(guard, new Not(isFalse(and.left()))), found);
    } else if (expression instanceof Or or) {
      collect(or.left(), guard, found);
      collect(or.right(), with(guard, new Not(isTrue(or.left()))), found);
    } else if (expression instanceof Coalesce coalesce) {
      List<Expression> passed = guard;
      for (Expression value : ScalaLists.list(coalesce.children())) {
        collect(value, passed, found);
        passed = with(passed, new IsNull(value));
      }
    } else {
      if (expression instanceof AiCall call) {
        found.add(new Occurrence(call, guard));
      }
      ScalaLists.list(expression.children()).forEach(part -> collect(part, guard, found));
    }
  }

  private static void collectCases(CaseWhen cases, List<Expression> guard, List<Occurrence> found) {
    List<Expression> passed = guard;
    for (Tuple2<Expression, Expression> branch : ScalaLists.list(cases.branches())) {
      collect(branch._1(), passed, found);
      collect(branch._2(), with(passed, isTrue(branch._1())), found);
      passed = with(passed, new Not(isTrue(branch._1())));
    }
    if (cases.elseValue().isDefined()) {
      collect(cases.elseValue().get(), passed, found);
    }
  }

  private static Expression isTrue(Expression condition) {
    return new EqualNullSafe(condition, Literal.TrueLiteral());
  }

  private static Expression isFalse(Expression condition) {
    return new EqualNullSafe(condition, Literal.FalseLiteral());
  }

  private static List<Expression> with(List<Expression> guard, Expression condition) {
    List<Expression> both = new ArrayList<>(guard);
    both.add(condition);
    return both;
  }
}
