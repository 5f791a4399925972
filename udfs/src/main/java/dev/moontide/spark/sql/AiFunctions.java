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

import dev.moontide.api.MoontideException;
import dev.moontide.spark.Inference;
import dev.moontide.spark.ModelCall;
import dev.moontide.spark.ModelCall.Function;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.SparkSessionExtensions;
import org.apache.spark.sql.catalyst.FunctionIdentifier;
import org.apache.spark.sql.catalyst.expressions.CreateMap;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.ExpressionInfo;
import org.apache.spark.sql.catalyst.expressions.NamedArgumentExpression;
import org.apache.spark.sql.catalyst.plans.logical.FunctionSignature;
import org.apache.spark.sql.catalyst.plans.logical.InputParameter;
import org.apache.spark.sql.catalyst.plans.logical.NamedParametersSupport;
import org.apache.spark.sql.internal.SQLConf;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.DataTypes;
import org.jspecify.annotations.Nullable;
import scala.Option;
import scala.Tuple3;
import scala.collection.immutable.Seq;
import scala.jdk.javaapi.CollectionConverters;

/**
 * The SQL functions as Spark's analyzer meets them: names and arguments become an {@link AiCall}.
 */
public final class AiFunctions {
  private final Inference.Source source;

  /**
   * @param source checks options against the checkpoint
   */
  public AiFunctions(Inference.Source source) {
    this.source = source;
  }

  /** Adds every function. */
  public void inject(SparkSessionExtensions extensions) {
    for (Function function : Function.values()) {
      extensions.injectFunction(
          new Tuple3<>(
              FunctionIdentifier.apply(function.sqlName()),
              info(function),
              arguments -> build(function, ScalaLists.list(arguments))));
    }
  }

  private static ExpressionInfo info(Function function) {
    return new ExpressionInfo(
        AiCall.class.getName(),
        "",
        function.sqlName(),
        usage(function),
        "",
        "",
        "",
        "",
        "",
        "",
        "");
  }

  private static String usage(Function function) {
    return switch (function) {
      case AI_GEN -> "_FUNC_(prompt[, options]) - The model's response to a prompt.";
      case AI_CLASSIFY -> "_FUNC_(text, labels[, options]) - The most probable of the labels.";
      case AI_QUERY ->
          "_FUNC_(prompt[, options]) - The response, why it ended, the error of a row that failed,"
              + " and counts of tokens.";
      case AI_SCORE ->
          "_FUNC_(prompt, continuation[, options]) - The log-probability of a continuation.";
    };
  }

  private static List<String> values(Function function) {
    return switch (function) {
      case AI_GEN, AI_QUERY -> List.of("prompt");
      case AI_CLASSIFY -> List.of("text", "labels");
      case AI_SCORE -> List.of("prompt", "continuation");
    };
  }

  /** Arguments in their order, those that are named ({@code prompt => text}) among them. */
  private static List<Expression> inOrder(Function function, List<Expression> arguments) {
    if (arguments.stream().noneMatch(NamedArgumentExpression.class::isInstance)) {
      return arguments;
    }
    List<InputParameter> parameters = new ArrayList<>();
    values(function).forEach(name -> parameters.add(new InputParameter(name, Option.empty())));
    parameters.add(
        new InputParameter("options", Option.apply(new CreateMap(ScalaLists.seq(List.of())))));
    return ScalaLists.list(
        NamedParametersSupport.defaultRearrange(
            new FunctionSignature(ScalaLists.seq(parameters)),
            ScalaLists.seq(arguments),
            function.sqlName(),
            SQLConf.get().resolver()));
  }

  private AiCall build(Function function, List<Expression> given) {
    String name = function.sqlName();
    int values = values(function).size();
    List<Expression> arguments = inOrder(function, given);
    if (arguments.size() < values || arguments.size() > values + 1) {
      throw MoontideException.configuration(
          "%s has %d arguments: allowed is %s",
          name, arguments.size(), usage(function).replace("_FUNC_", name));
    }
    Map<String, String> options =
        arguments.size() > values ? CallOptions.options(name, arguments.get(values)) : Map.of();
    boolean sameLabels = function == Function.AI_CLASSIFY && arguments.get(1).foldable();
    @Nullable List<String> labels =
        sameLabels ? CallOptions.labels(name, labels(name, arguments.get(1))) : null;
    SparkSession session = SparkSession.active();
    ModelCall call =
        ModelCall.of(
                function, CollectionConverters.asJava(session.conf().getAll()), options, labels)
            .onExecutorsOf(session.sparkContext());
    source.check(call.options(), call.arguments(), session.sparkContext().isLocal());
    Seq<Expression> byRow = ScalaLists.seq(arguments.subList(0, sameLabels ? 1 : values));
    return new AiCall(call, byRow, Option.empty());
  }

  private static Expression labels(String function, Expression labels) {
    if (labels.dataType() instanceof ArrayType array
        && array.elementType().equals(DataTypes.StringType)) {
      return labels;
    }
    throw MoontideException.configuration(
        "%s: its labels are %s, of type %s: allowed is an array of strings, such as"
            + " array('good', 'bad')",
        function, labels.sql(), labels.dataType().sql());
  }
}
