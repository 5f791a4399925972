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
import java.util.function.UnaryOperator;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.NamedExpression;
import scala.Function1;
import scala.PartialFunction;
import scala.collection.immutable.Seq;
import scala.jdk.javaapi.CollectionConverters;
import scala.runtime.AbstractPartialFunction;

/** Scala's lists and functions from Java. */
final class ScalaLists {
  private ScalaLists() {}

  static <T> Seq<T> seq(List<? extends T> list) {
    return CollectionConverters.<T>asScala(new ArrayList<T>(list)).toSeq();
  }

  static <T> List<T> list(Seq<T> seq) {
    return CollectionConverters.asJava(seq);
  }

  /** Named expressions as the expressions they all are. */
  static List<Expression> expressions(Seq<NamedExpression> named) {
    return list(named).stream().map(Expression.class::cast).toList();
  }

  /** A rewriting of every node of a tree, as {@code transform} takes it. */
  static <T> PartialFunction<T, T> each(UnaryOperator<T> rewrite) {
    return new AbstractPartialFunction<T, T>() {
      @Override
      public boolean isDefinedAt(T node) {
        return true;
      }

      @Override
      @SuppressWarnings("unchecked") // Scala bounds B by T from below, which Java cannot say
      public <A extends T, B> B applyOrElse(A node, Function1<A, B> otherwise) {
        return (B) rewrite.apply(node);
      }
    };
  }
}
