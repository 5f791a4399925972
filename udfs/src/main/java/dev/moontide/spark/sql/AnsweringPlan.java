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
import org.apache.spark.sql.catalyst.expressions.Attribute;
import org.apache.spark.sql.catalyst.expressions.AttributeSet;
import org.apache.spark.sql.catalyst.expressions.AttributeSet$;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.Statistics;
import org.apache.spark.sql.internal.SQLConf;
import scala.collection.immutable.Seq;
import scala.math.BigInt;

/** A logical node that gives every row of its child, followed by a model's answers. */
public sealed interface AnsweringPlan permits InferencePlan, TransformPlan {
  LogicalPlan child();

  Seq<Attribute> answers();

  /** The same of other rows with the child's attributes. */
  LogicalPlan over(LogicalPlan rows);

  /** The node without answers that no one of {@code references} is; the child where none is. */
  LogicalPlan answering(AttributeSet references);

  /** Whether its rows come in the child's order. */
  boolean keepsOrder();

  /**
   * Of unknown size without adaptive execution, where a join would broadcast few answers and give
   * up on them after {@code spark.sql.broadcastTimeout}, though the model needs longer. With
   * adaptive execution Spark waits for the rows first.
   */
  static Statistics stats(LogicalPlan child, SQLConf conf) {
    Statistics rows = child.stats();
    return conf.adaptiveExecutionEnabled()
        ? rows
        : rows.copy(
            BigInt.apply(conf.defaultSizeInBytes()),
            rows.rowCount(),
            rows.attributeStats(),
            rows.isRuntime());
  }

  /** What such a node gives, logical or physical: the child's columns, then the answers. */
  static Seq<Attribute> output(Seq<Attribute> child, Seq<Attribute> answers) {
    List<Attribute> output = new ArrayList<>(ScalaLists.list(child));
    output.addAll(ScalaLists.list(answers));
    return ScalaLists.seq(output);
  }

  /** What such a node adds to its child's columns. */
  static AttributeSet produced(Seq<Attribute> answers) {
    return AttributeSet$.MODULE$.apply(ScalaLists.<Expression>seq(ScalaLists.list(answers)));
  }
}
