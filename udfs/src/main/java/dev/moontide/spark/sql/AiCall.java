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
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.stream.Collectors;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.analysis.TypeCheckResult;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.ImplicitCastInputTypes;
import org.apache.spark.sql.catalyst.expressions.Unevaluable;
import org.apache.spark.sql.catalyst.expressions.codegen.CodegenContext;
import org.apache.spark.sql.catalyst.expressions.codegen.ExprCode;
import org.apache.spark.sql.types.AbstractDataType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.StructField;
import org.jspecify.annotations.Nullable;
import scala.Option;
import scala.collection.immutable.IndexedSeq;
import scala.collection.immutable.Seq;

/**
 * A call of an SQL function, which cannot be evaluated where it stands: an {@link InferencePlan}
 * evaluates it. It counts as deterministic, and is: equal arguments have equal answers.
 */
public final class AiCall extends Expression
    implements Unevaluable, ImplicitCastInputTypes, Serializable {
  private static final long serialVersionUID = 1L;

  private final ModelCall call;
  private final Seq<Expression> arguments;
  private final Option<Expression> guard;

  /**
   * @param arguments those that differ by row
   * @param guard the rows to evaluate it for, where it holds; all of them without
   */
  public AiCall(ModelCall call, Seq<Expression> arguments, Option<Expression> guard) {
    this.call = call;
    this.arguments = arguments;
    this.guard = guard;
  }

  ModelCall call() {
    return call;
  }

  Seq<Expression> arguments() {
    return arguments;
  }

  Option<Expression> guard() {
    return guard;
  }

  AiCall withGuard(Option<Expression> rows) {
    return new AiCall(call, arguments, rows);
  }

  @Override
  public Seq<Expression> children() {
    List<Expression> children = new ArrayList<>(ScalaLists.list(arguments));
    if (guard.isDefined()) {
      children.add(guard.get());
    }
    return ScalaLists.seq(children);
  }

  @Override
  public Expression withNewChildrenInternal(IndexedSeq<Expression> children) {
    List<Expression> all = ScalaLists.list(children);
    int count = arguments.size();
    return new AiCall(
        call,
        ScalaLists.seq(all.subList(0, count)),
        guard.isDefined() ? Option.apply(all.get(count)) : Option.empty());
  }

  @Override
  public Seq<AbstractDataType> inputTypes() {
    return ScalaLists.seq(
        Arrays.stream(call.arguments().fields()).map(StructField::dataType).toList());
  }

  @Override
  public TypeCheckResult checkInputDataTypes() {
    return ImplicitCastInputTypes.super.checkInputDataTypes();
  }

  @Override
  public DataType dataType() {
    return call.type();
  }

  @Override
  public boolean nullable() {
    return true;
  }

  @Override
  public boolean foldable() {
    return false;
  }

  @Override
  public Object eval(InternalRow row) {
    throw notHere();
  }

  @Override
  public ExprCode doGenCode(CodegenContext context, ExprCode code) {
    throw notHere();
  }

  private IllegalStateException notHere() {
    return new IllegalStateException(
        this + " was not taken out of its operator: is spark.sql.extensions set for all of it?");
  }

  @Override
  public String prettyName() {
    return call.function().sqlName();
  }

  @Override
  public String sql() {
    return ScalaLists.list(arguments).stream()
        .map(Expression::sql)
        .collect(Collectors.joining(", ", prettyName() + "(", ")"));
  }

  @Override
  public String toString() {
    String shown =
        ScalaLists.list(arguments).stream()
            .map(Expression::toString)
            .collect(Collectors.joining(", "));
    String where = guard.isDefined() ? " where " + guard.get() : "";
    return "%s(%s; %s)%s".formatted(prettyName(), shown, call.description(), where);
  }

  @Override
  public int productArity() {
    return 3;
  }

  @Override
  public Object productElement(int index) {
    return switch (index) {
      case 0 -> call;
      case 1 -> arguments;
      case 2 -> guard;
      default -> throw new IndexOutOfBoundsException(index);
    };
  }

  @Override
  public boolean canEqual(Object other) {
    return other instanceof AiCall;
  }

  @Override
  public boolean equals(@Nullable Object other) {
    return other instanceof AiCall that
        && call.equals(that.call)
        && arguments.equals(that.arguments)
        && guard.equals(that.guard);
  }

  @Override
  public int hashCode() {
    return Objects.hash(call, arguments, guard);
  }
}
