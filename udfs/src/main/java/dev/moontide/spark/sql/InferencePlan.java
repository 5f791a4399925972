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

import dev.moontide.spark.ModelCall;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.stream.Collectors;
import org.apache.spark.sql.catalyst.expressions.Attribute;
import org.apache.spark.sql.catalyst.expressions.AttributeSet;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.SortOrder;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.Statistics;
import org.apache.spark.sql.catalyst.plans.logical.UnaryNode;
import org.jspecify.annotations.Nullable;
import scala.Option;
import scala.collection.immutable.IndexedSeq;
import scala.collection.immutable.Seq;

/**
 * Every row of its child, in the child's order, followed by the answers of calls on one engine.
 *
 * <p>Calls and answers are apart, not aliases: Spark rewrites and canonicalises expressions and
 * output attributes by different rules.
 */
public final class InferencePlan extends LogicalPlan implements UnaryNode, AnsweringPlan {
  private final Seq<Expression> calls;
  private final Seq<Attribute> answers;
  private final LogicalPlan child;

  /**
   * @param calls of type {@link AiCall}
   * @param answers the attribute of each call's answer
   */
  public InferencePlan(Seq<Expression> calls, Seq<Attribute> answers, LogicalPlan child) {
    this.calls = calls;
    this.answers = answers;
    this.child = child;
  }

  Seq<Expression> calls() {
    return calls;
  }

  @Override
  public Seq<Attribute> answers() {
    return answers;
  }

  @Override
  public LogicalPlan child() {
    return child;
  }

  @Override
  public InferencePlan over(LogicalPlan newChild) {
    return new InferencePlan(calls, answers, newChild);
  }

  @Override
  public LogicalPlan answering(AttributeSet references) {
    List<Expression> readCalls = new ArrayList<>();
    List<Attribute> readAnswers = new ArrayList<>();
    for (int i = 0; i < calls.size(); i++) {
      Attribute answer = answers.apply(i);
      if (references.contains(answer)) {
        readCalls.add(calls.apply(i));
        readAnswers.add(answer);
      }
    }
    if (readCalls.size() == calls.size()) {
      return this;
    }
    return readCalls.isEmpty()
        ? child
        : new InferencePlan(ScalaLists.seq(readCalls), ScalaLists.seq(readAnswers), child);
  }

  @Override
  public boolean keepsOrder() {
    return true;
  }

  @Override
  public LogicalPlan withNewChildInternal(LogicalPlan newChild) {
    return over(newChild);
  }

  @Override
  public Seq<LogicalPlan> children() {
    return ScalaLists.seq(List.of(child));
  }

  @Override
  public LogicalPlan withNewChildrenInternal(IndexedSeq<LogicalPlan> newChildren) {
    return over(newChildren.head());
  }

  @Override
  public Seq<Attribute> output() {
    return AnsweringPlan.output(child.output(), answers);
  }

  @Override
  public AttributeSet producedAttributes() {
    return AnsweringPlan.produced(answers);
  }

  /**
   * False, so that Spark does not inline a common table expression into each of its uses, where the
   * calls would be evaluated for each of them.
   */
  @Override
  public boolean deterministic() {
    return false;
  }

  @Override
  public Statistics stats() {
    return AnsweringPlan.stats(child, conf());
  }

  @Override
  public Option<Object> maxRows() {
    return child.maxRows();
  }

  @Override
  public Option<Object> maxRowsPerPartition() {
    return child.maxRowsPerPartition();
  }

  @Override
  public Seq<SortOrder> outputOrdering() {
    return child.outputOrdering();
  }

  @Override
  public String nodeName() {
    return "Inference";
  }

  @Override
  public String argString(int maxFields) {
    return describe(calls, answers);
  }

  /** The calls as a plan shows them. */
  static String describe(Seq<Expression> calls, Seq<Attribute> answers) {
    List<String> shown = new ArrayList<>();
    for (int i = 0; i < calls.size(); i++) {
      shown.add(calls.apply(i) + " AS " + answers.apply(i));
    }
    return shown.stream().collect(Collectors.joining(", ", "[", "]"));
  }

  /** The calls, as tasks need them. */
  static List<ModelCall> models(Seq<Expression> calls) {
    return ScalaLists.list(calls).stream().map(call -> ((AiCall) call).call()).toList();
  }

  @Override
  public int productArity() {
    return 3;
  }

  @Override
  public Object productElement(int index) {
    return switch (index) {
      case 0 -> calls;
      case 1 -> answers;
      case 2 -> child;
      default -> throw new IndexOutOfBoundsException(index);
    };
  }

  @Override
  public boolean canEqual(Object other) {
    return other instanceof InferencePlan;
  }

  @Override
  public boolean equals(@Nullable Object other) {
    return other instanceof InferencePlan that
        && calls.equals(that.calls)
        && answers.equals(that.answers)
        && child.equals(that.child);
  }

  @Override
  public int hashCode() {
    return Objects.hash(calls, answers, child);
  }
}
