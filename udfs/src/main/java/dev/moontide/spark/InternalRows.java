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
package dev.moontide.spark;

import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.Encoder;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.analysis.GetColumnByOrdinal;
import org.apache.spark.sql.catalyst.encoders.ExpressionEncoder;
import org.apache.spark.sql.catalyst.expressions.CreateNamedStruct;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.Literal$;
import org.apache.spark.sql.catalyst.expressions.objects.StaticInvoke;
import org.apache.spark.sql.types.StructType;
import scala.Option;
import scala.collection.immutable.Seq;
import scala.jdk.javaapi.CollectionConverters;

/**
 * Rows in Spark's own form as the objects that a function of a dataset reads. Spark's encoder of
 * {@code Row} makes strings and boxes of every value, which would be taken apart again on the way
 * into an Arrow batch.
 *
 * <p>For what a function reads and not for what it gives: of that, Spark's optimizer drops fields
 * of structs nobody selects, and must find the structs in the encoder for it. Public for the code
 * Spark generates.
 */
public final class InternalRows {
  private InternalRows() {}

  /** By which a function gets the rows of {@code schema}, each valid until the next. */
  static Encoder<InternalRow> encoder(StructType schema) {
    List<Expression> columns = new ArrayList<>();
    for (int i = 0; i < schema.size(); i++) {
      columns.add(Literal$.MODULE$.apply(schema.apply(i).name()));
      columns.add(new GetColumnByOrdinal(i, schema.apply(i).dataType()));
    }
    // Of a type that is known before the columns are resolved, as Spark wants an object's to be.
    Expression row =
        new StaticInvoke(
            InternalRows.class,
            schema,
            "row",
            seq(List.of(new CreateNamedStruct(seq(columns)))),
            seq(List.of()),
            true,
            false,
            true,
            Option.empty());
    return reading(ExpressionEncoder.apply(schema), row);
  }

  /** A row as it is. */
  public static InternalRow row(InternalRow row) {
    return row;
  }

  @SuppressWarnings("unchecked") // what an object is, the deserializer alone decides
  private static <T> Encoder<InternalRow> reading(
      ExpressionEncoder<T> encoder, Expression deserializer) {
    return (Encoder<InternalRow>)
        (Encoder<?>)
            new ExpressionEncoder<>(encoder.encoder(), encoder.objSerializer(), deserializer);
  }

  private static <T> Seq<T> seq(List<T> items) {
    return CollectionConverters.asScala(items).toSeq();
  }
}
