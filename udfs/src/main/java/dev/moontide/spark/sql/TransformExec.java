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

import java.util.Iterator;
import java.util.List;
import java.util.Objects;
import org.apache.spark.api.java.function.FlatMapFunction;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.rdd.RDD;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.encoders.ExpressionEncoder;
import org.apache.spark.sql.catalyst.expressions.Attribute;
import org.apache.spark.sql.catalyst.expressions.AttributeSet;
import org.apache.spark.sql.catalyst.plans.physical.Partitioning;
import org.apache.spark.sql.catalyst.types.DataTypeUtils;
import org.apache.spark.sql.execution.SparkPlan;
import org.apache.spark.sql.execution.UnaryExecNode;
import org.jspecify.annotations.Nullable;
import scala.collection.immutable.IndexedSeq;
import scala.collection.immutable.Seq;

/** {@link TransformPlan}, executed. */
public final class TransformExec extends SparkPlan implements UnaryExecNode {
  private static final long serialVersionUID = 1L;

  private final MapPartitionsFunction<InternalRow, Row> partition;
  private final String description;
  private final Seq<Attribute> answers;
  private final SparkPlan child;

  /** See {@link TransformPlan}. */
  public TransformExec(
      MapPartitionsFunction<InternalRow, Row> partition,
      String description,
      Seq<Attribute> answers,
      SparkPlan child) {
    this.partition = partition;
    this.description = description;
    this.answers = answers;
    this.child = child;
  }

  @Override
  public SparkPlan child() {
    return child;
  }

  @Override
  public SparkPlan withNewChildInternal(SparkPlan newChild) {
    return new TransformExec(partition, description, answers, newChild);
  }

  @Override
  public Seq<SparkPlan> children() {
    return ScalaLists.seq(List.of(child));
  }

  @Override
  public SparkPlan withNewChildrenInternal(IndexedSeq<SparkPlan> newChildren) {
    return withNewChildInternal(newChildren.head());
  }

  @Override
  public Seq<Attribute> output() {
    return AnsweringPlan.output(child.output(), answers);
  }

  @Override
  public AttributeSet references() {
    return child.outputSet();
  }

  @Override
  public AttributeSet producedAttributes() {
    return AnsweringPlan.produced(answers);
  }

  @Override
  public Partitioning outputPartitioning() {
    return child.outputPartitioning();
  }

  /** What a task does with its rows, and what that gives as Catalyst has it. */
  private record Rows(
      MapPartitionsFunction<InternalRow, Row> partition, ExpressionEncoder<Row> output)
      implements FlatMapFunction<Iterator<InternalRow>, InternalRow> {
    @Override
    public Iterator<InternalRow> call(Iterator<InternalRow> rows) throws Exception {
      ExpressionEncoder.Serializer<Row> write = output.createSerializer();
      Iterator<Row> answered = partition.call(rows);
      return new Iterator<>() {
        @Override
        public boolean hasNext() {
          return answered.hasNext();
        }

        @Override
        public InternalRow next() {
          return write.apply(answered.next());
        }
      };
    }
  }

  @Override
  public RDD<InternalRow> doExecute() {
    // Lenient: takes dates and times of both of Java's APIs, whichever the session gives.
    ExpressionEncoder<Row> encoder =
        ExpressionEncoder.apply(DataTypeUtils.fromAttributes(output()), true);
    return child.execute().toJavaRDD().mapPartitions(new Rows(partition, encoder), true).rdd();
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
    return other instanceof TransformExec;
  }

  @Override
  public boolean equals(@Nullable Object other) {
    return other instanceof TransformExec that
        && partition.equals(that.partition)
        && answers.equals(that.answers)
        && child.equals(that.child);
  }

  @Override
  public int hashCode() {
    return Objects.hash(partition, answers, child);
  }
}
