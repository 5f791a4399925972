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

import dev.moontide.spark.CallMetrics;
import dev.moontide.spark.EngineResources;
import dev.moontide.spark.Inference;
import dev.moontide.spark.SessionStore;
import dev.moontide.spark.store.ResultFolder;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.apache.spark.SparkContext;
import org.apache.spark.rdd.RDD;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.Attribute;
import org.apache.spark.sql.catalyst.expressions.AttributeSet;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.SortOrder;
import org.apache.spark.sql.catalyst.plans.physical.Partitioning;
import org.apache.spark.sql.execution.SparkPlan;
import org.apache.spark.sql.execution.UnaryExecNode;
import org.apache.spark.sql.execution.metric.SQLMetric;
import org.apache.spark.sql.execution.metric.SQLMetrics;
import org.jspecify.annotations.Nullable;
import scala.Option;
import scala.collection.immutable.IndexedSeq;
import scala.collection.immutable.Seq;
import scala.jdk.javaapi.CollectionConverters;

/** {@link InferencePlan}, executed: each task asks the engine about its partition's rows. */
public final class InferenceExec extends SparkPlan implements UnaryExecNode {
  private static final long serialVersionUID = 1L;

  private final Seq<Expression> calls;
  private final Seq<Attribute> answers;
  private final SparkPlan child;
  private final Inference.Source source;
  private final Option<String> store;
  private transient @Nullable Map<String, SQLMetric> metrics;

  /**
   * @param store the folder of finished results, if any are kept
   */
  public InferenceExec(
      Seq<Expression> calls,
      Seq<Attribute> answers,
      SparkPlan child,
      Inference.Source source,
      Option<String> store) {
    this.calls = calls;
    this.answers = answers;
    this.child = child;
    this.source = source;
    this.store = store;
  }

  @Override
  public SparkPlan child() {
    return child;
  }

  @Override
  public SparkPlan withNewChildInternal(SparkPlan newChild) {
    return new InferenceExec(calls, answers, newChild, source, store);
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
  public AttributeSet producedAttributes() {
    return AnsweringPlan.produced(answers);
  }

  @Override
  public Partitioning outputPartitioning() {
    return child.outputPartitioning();
  }

  @Override
  public Seq<SortOrder> outputOrdering() {
    return child.outputOrdering();
  }

  @Override
  public scala.collection.immutable.Map<String, SQLMetric> metrics() {
    return scala.collection.immutable.Map.from(CollectionConverters.asScala(metricsByName()));
  }

  private synchronized Map<String, SQLMetric> metricsByName() {
    if (metrics == null) {
      SparkContext context = sparkContext();
      Map<String, SQLMetric> created = new LinkedHashMap<>();
      InferenceMetrics.NAMES.forEach(
          (name, shown) -> created.put(name, SQLMetrics.createMetric(context, shown)));
      created.put(
          InferenceMetrics.ENGINE_TIME,
          SQLMetrics.createTimingMetric(
              context, "time waiting for the engine", SQLMetrics.createTimingMetric$default$3()));
      metrics = created;
    }
    return metrics;
  }

  @Override
  public RDD<InternalRow> doExecute() {
    ResultFolder folder = store.isEmpty() ? null : SessionStore.open(store.get(), session());
    InferenceMetrics counts = new InferenceMetrics(metricsByName(), CallMetrics.watched(session()));
    InferencePartition partition =
        new InferencePartition(calls, child.output(), output(), source, folder, counts);
    RDD<InternalRow> computed = child.execute().toJavaRDD().mapPartitions(partition, true).rdd();
    EngineResources resources = InferencePlan.models(calls).get(0).options().resources();
    return resources == null ? computed : resources.give(computed);
  }

  @Override
  public String argString(int maxFields) {
    String kept = store.isEmpty() ? "" : ", store=" + store.get();
    return InferencePlan.describe(calls, answers) + kept;
  }

  @Override
  public int productArity() {
    return 5;
  }

  @Override
  public Object productElement(int index) {
    return switch (index) {
      case 0 -> calls;
      case 1 -> answers;
      case 2 -> child;
      case 3 -> source;
      case 4 -> store;
      default -> throw new IndexOutOfBoundsException(index);
    };
  }

  @Override
  public boolean canEqual(Object other) {
    return other instanceof InferenceExec;
  }

  @Override
  public boolean equals(@Nullable Object other) {
    return other instanceof InferenceExec that
        && calls.equals(that.calls)
        && answers.equals(that.answers)
        && child.equals(that.child)
        && source.equals(that.source)
        && store.equals(that.store);
  }

  @Override
  public int hashCode() {
    return Objects.hash(calls, answers, child, source, store);
  }
}
