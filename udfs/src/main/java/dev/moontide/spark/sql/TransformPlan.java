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
import java.util.Objects;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.Attribute;
import org.apache.spark.sql.catalyst.expressions.AttributeSet;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.Statistics;
import org.apache.spark.sql.catalyst.plans.logical.UnaryNode;
import org.jspecify.annotations.Nullable;
import scala.Option;
import scala.collection.immutable.IndexedSeq;
import scala.collection.immutable.Seq;

/**
 * Every row of its child, in completion order within its partition, followed by the columns of the
 * transform's answer.
 */
public final class TransformPlan extends LogicalPlan implements UnaryNode, AnsweringPlan {
  private final MapPartitionsFunction<InternalRow, Row> partition;
  private final String description;
  private final Seq<Attribute> answers;
  private final LogicalPlan child;

  /**
   * @param partition what a task does with its rows
   * @param description of the transform, for people
   */
  public TransformPlan(
      MapPartitionsFunction<InternalRow, Row> partition,
      String description,
      Seq<Attribute> answers,
      LogicalPlan child) {
    this.partition = partition;
    this.description = description;
    this.answers = answers;
    this.child = child;
  }

  MapPartitionsFunction<InternalRow, Row> partition() {
    return partition;
  }

  String description() {
    return description;
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
  public TransformPlan over(LogicalPlan rows) {
    return new TransformPlan(partition, description, answers, rows);
  }

  @Override
  public LogicalPlan answering(AttributeSet references) {
    return ScalaLists.list(answers).stream().anyMatch(references::contains) ? this : child;
  }

  @Override
  public boolean keepsOrder() {
    return false;
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

  /** Every column, as tasks take rows whole. */
  @Override
  public AttributeSet references() {
    return child.outputSet();
  }

  @Override
  public AttributeSet producedAttributes() {
    return AnsweringPlan.produced(answers);
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
  public String nodeName() {
    return "Transform";
  }

  @Override
  public String argString(int maxFields) {
    return description;
  }

  @Override
  public int productArity() {
    return 4;
  }

  @Override
  public Object productElement(int index) {
    return switch (index) {
      case 0 -> partition;
      case 1 -> description;
      case 2 -> answers;
      case 3 -> child;
      default -> throw new IndexOutOfBoundsException(index);
    };
  }

  @Override
  public boolean canEqual(Object other) {
    return other instanceof TransformPlan;
  }

  @Override
  public boolean equals(@Nullable Object other) {
    return other instanceof TransformPlan that
        && partition.equals(that.partition)
        && answers.equals(that.answers)
        && child.equals(that.child);
  }

  @Override
  public int hashCode() {
    return Objects.hash(partition, answers, child);
  }
}
