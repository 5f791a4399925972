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
import java.util.Arrays;
import java.util.List;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.ExperimentalMethods;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.Alias;
import org.apache.spark.sql.catalyst.expressions.Attribute;
import org.apache.spark.sql.catalyst.expressions.NamedExpression;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.Project;
import org.apache.spark.sql.catalyst.rules.Rule;
import org.apache.spark.sql.catalyst.types.DataTypeUtils;
import org.apache.spark.sql.classic.SparkSession;
import org.apache.spark.sql.execution.SparkStrategy;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import scala.Option;

/** Transforms of datasets as nodes that Spark's optimizer sees through, in any session. */
public final class Transforms {
  private Transforms() {}

  /**
   * Every column of {@code rows}, then the rest of {@code output}.
   *
   * @param rows of a batch
   * @param partition what a task does with its rows
   * @param output the columns of {@code rows}, then the answer's
   * @param description of the transform, for people
   */
  public static Dataset<Row> of(
      Dataset<Row> rows,
      MapPartitionsFunction<InternalRow, Row> partition,
      StructType output,
      String description) {
    org.apache.spark.sql.classic.Dataset<Row> given =
        (org.apache.spark.sql.classic.Dataset<Row>) rows;
    SparkSession session = given.sparkSession();
    plan(session);
    StructField[] fields = output.fields();
    StructType answer =
        new StructType(Arrays.copyOfRange(fields, rows.schema().size(), fields.length));
    List<Attribute> answers = new ArrayList<>(ScalaLists.list(DataTypeUtils.toAttributes(answer)));
    LogicalPlan child = given.logicalPlan();
    // Aliases, which Spark renews where a plan is joined with itself.
    List<NamedExpression> columns = new ArrayList<>(ScalaLists.list(child.output()));
    answers.forEach(column -> columns.add(renamed(column)));
    return org.apache.spark.sql.classic.Dataset.ofRows(
        session,
        new Project(
            ScalaLists.seq(columns),
            new TransformPlan(partition, description, ScalaLists.seq(answers), child)));
  }

  private static Alias renamed(Attribute column) {
    return new Alias(
        column,
        column.name(),
        NamedExpression.newExprId(),
        ScalaLists.seq(List.of()),
        Option.empty(),
        ScalaLists.seq(List.of()));
  }

  /** Has {@code session} plan transforms. */
  private static synchronized void plan(SparkSession session) {
    ExperimentalMethods methods = session.experimental();
    List<SparkStrategy> strategies = new ArrayList<>(ScalaLists.list(methods.extraStrategies()));
    if (strategies.stream().noneMatch(TransformStrategy.class::isInstance)) {
      List<Rule<LogicalPlan>> rules =
          new ArrayList<>(ScalaLists.list(methods.extraOptimizations()));
      rules.add(new PushThroughInference(session.sparkContext()));
      rules.add(new ReadTransformsOnce(session.sparkContext()));
      strategies.add(new TransformStrategy());
      methods.extraOptimizations_$eq(ScalaLists.seq(rules));
      methods.extraStrategies_$eq(ScalaLists.seq(strategies));
    }
  }
}
